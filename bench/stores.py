"""Servers on each store, and the store's own speed for the same transaction by its own client; each with its load."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.baselines.postgresql_alone import make_tables, pgbench_load, psycopg_load
from bench.baselines.sqlite_alone import one_by_one
from bench.contenders import new_names
from bench.load.plan import Shape, put_load
from bench.load.rpc import Rpc
from bench.load.wrk import Load
from bench.run import Run
from bench.servers import server
from chaos.runtime.etcd import EtcdCluster
from chaos.runtime.postgresql import PostgreSQL

__all__ = ["ENGINES", "MANY_KEYS", "ONE", "PAIRS", "TWO", "Contender", "two_servers"]

MEMBERS = 3
NONE = "OnceKV, identities ignored (SQLite)"
MEMORY = "OnceKV, records in memory only (SQLite)"
SQLITE, SQLITE_ALONE = "OnceKV on SQLite", "SQLite alone, one thread in a loop"
POSTGRESQL, PGBENCH = "OnceKV on PostgreSQL", "PostgreSQL alone, by pgbench"
PSYCOPG = "PostgreSQL alone, by psycopg"
ETCD, ETCD_ALONE = f"OnceKV on etcd, {MEMBERS} members", f"etcd alone, {MEMBERS} members, by its JSON gateway"
ONE, TWO = "one server", "two servers"
MANY_KEYS = 100_000

PAIRS = ((SQLITE, SQLITE_ALONE), (POSTGRESQL, PGBENCH), (POSTGRESQL, PSYCOPG), (ETCD, ETCD_ALONE))
"""A server, and what it stands on alone."""

LoadOf = Callable[[int, int], Load]
"""Connections and seconds, to what came of it."""


@dataclass(frozen=True)
class Contender:
    """Something that makes the write, running."""

    label: str
    load: LoadOf


def sqlite(stack: ExitStack, run: Run) -> list[Contender]:
    """One server that promises all, its two controls, and SQLite itself."""
    found = []
    for label, delivery in ((SQLITE, "persisted"), (NONE, "none"), (MEMORY, "memory")):
        found.append(Contender(label, _served(stack, run, "", delivery=delivery)))
    folder = stack.enter_context(run.folder("sqlite-alone"))
    found.append(Contender(SQLITE_ALONE, lambda _, seconds: one_by_one(folder / "alone.db", seconds)))
    return found


def postgresql(stack: ExitStack, run: Run) -> list[Contender]:
    """Raises ServerError where there is none."""
    database, folder = _postgresql(stack, run)
    own = _url(database)
    make_tables(own)
    return [
        Contender(POSTGRESQL, _served(stack, run, _url(database))),
        Contender(
            PGBENCH, lambda connections, seconds: pgbench_load(own, folder, connections=connections, seconds=seconds)
        ),
        Contender(PSYCOPG, lambda connections, seconds: psycopg_load(own, connections=connections, seconds=seconds)),
    ]


def etcd(stack: ExitStack, run: Run) -> list[Contender]:
    """Its own load goes to the leader, so no member has to pass it on. Raises EtcdMissing."""
    folder = stack.enter_context(run.folder("etcd"))
    cluster = stack.enter_context(EtcdCluster(MEMBERS, below=folder))
    leader = next((member for member in cluster.members if member.leads()), cluster.members[0])

    def own(connections: int, seconds: int) -> Load:
        names = new_names(connections)
        return put_load(leader.url, folder, Shape("etcd"), names, connections=connections, seconds=seconds)

    return [Contender(ETCD, _served(stack, run, cluster.url())), Contender(ETCD_ALONE, own)]


def two_servers(stack: ExitStack, run: Run) -> list[Contender]:
    """One server on a PostgreSQL, and two on it, each with its own load, over many keys. Raises ServerError."""
    database, _ = _postgresql(stack, run)
    store = _url(database)
    loads = [_served(stack, run, store, Shape(keys=MANY_KEYS)) for _ in range(2)]

    def both(connections: int, seconds: int) -> Load:
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda load: load(connections, seconds), loads)
        return _sum(first, second)

    return [Contender(ONE, loads[0]), Contender(TWO, both)]


ENGINES = {"SQLite": sqlite, "PostgreSQL": postgresql, "etcd": etcd}


def _served(
    stack: ExitStack, run: Run, store: str, shape: Shape | None = None, *, delivery: str = "persisted"
) -> LoadOf:
    """The load on a server of that store; without one, on a SQLite file of its own."""
    folder = stack.enter_context(run.folder("oncekv"))
    one = server(folder / "data", delivery=delivery)
    if store:
        one.store = store
    url = stack.enter_context(one).url
    rpc = stack.enter_context(Rpc(url))

    def load(connections: int, seconds: int) -> Load:
        sessions = rpc.open_sessions(connections)
        return put_load(url, folder, shape or Shape(), sessions, connections=connections, seconds=seconds)

    return load


def _postgresql(stack: ExitStack, run: Run) -> tuple[PostgreSQL, Path]:
    folder = stack.enter_context(run.folder("postgresql"))
    database = PostgreSQL(folder / "postgresql.log", durable=True)
    return stack.enter_context(contextlib.closing(database)), folder


def _url(database: PostgreSQL) -> str:
    """Of a new database in it, as libpq has it."""
    return database.make_database().replace("+psycopg", "")


def _sum(first: Load, second: Load) -> Load:
    """Two loads of the same time as one; of the latencies, the worse one's."""
    counted = ("requests", "good", "other", "bad", "lost", "broken", "timeouts")
    worst = ("duration_us", "p50_us", "p99_us", "p999_us", "max_us")
    sums = {name: getattr(first, name) + getattr(second, name) for name in counted}
    return Load(
        **sums,
        **{name: max(getattr(first, name), getattr(second, name)) for name in worst},
        sample=first.sample or second.sample,
    )
