"""10. Each store that a server may stand on, side by side, and each beside its own speed for the same transaction.

All at 32 connections, saturated, in turn. Its own client leaves out HTTP, JSON-RPC, sessions and leases, so what a
server adds is in the ratio; what it wins back by committing many calls at once is in it too.
"""

from __future__ import annotations

from contextlib import ExitStack

from bench import stores
from bench.measures.writes import column
from bench.progress import progress
from bench.report.result_set import Part
from bench.run import Run
from chaos.runtime.base import ServerError

__all__ = ["AT", "AT_EACH", "LATENCY", "NAME", "SCALING", "measure"]

NAME = "stores"
LATENCY = "stores_latency"
SCALING = "stores_two_servers"
CONNECTIONS = 32
AT = column(CONNECTIONS)
AT_EACH = f"{CONNECTIONS} connections to each"
PERCENTILES = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p999_us"}
ROUND = 2
"""Times a usual round: the stores' own clients prepare their statements at its beginning."""


def measure(run: Run) -> None:
    """All engines in turn; then one server against two on one PostgreSQL."""
    part = run.part(
        Part(
            NAME,
            "10. The stores: single durable exactly-once writes",
            "calls/s",
            note="Identities ignored and records in memory keep no promise over a restart: what the promise costs.",
        )
    )
    latency = run.part(
        Part(LATENCY, "10. The same: latency, saturated by 32 connections", "ms", note="SQLite alone has one.")
    )
    with ExitStack() as stack:
        contenders = []
        for engine, open_all in stores.ENGINES.items():
            try:
                contenders += open_all(stack, run)
            except ServerError as error:
                _lack(run, f"{engine} as the store", error)
        for contender in contenders:
            contender.load(CONNECTIONS, 1)  # warms up; not counted
        for _ in run.rounds(run.effort.rounds, "stores"):
            for contender in contenders:
                load = contender.load(CONNECTIONS, ROUND * run.effort.seconds)
                run.add(part, contender.label, AT, load.per_s, load.faults)
                for name, field in PERCENTILES.items():
                    run.add(latency, contender.label, name, getattr(load, field) / 1000, load.faults)
    _scaling(run)


def _scaling(run: Run) -> None:
    part = run.part(
        Part(SCALING, f"10. Two servers on one PostgreSQL, {stores.MANY_KEYS:,} keys", "calls/s", against=stores.ONE)
    )
    with ExitStack() as stack:
        try:
            contenders = stores.two_servers(stack, run)
        except ServerError as error:
            _lack(run, "two servers on one PostgreSQL", error)
            return
        for contender in contenders:
            contender.load(CONNECTIONS, 1)
        for _ in run.rounds(run.effort.rounds, "two servers"):
            for contender in contenders:
                load = contender.load(CONNECTIONS, ROUND * run.effort.seconds)
                run.add(part, contender.label, AT_EACH, load.per_s, load.faults)


def _lack(run: Run, what: str, error: Exception) -> None:
    progress(f"{what} is not measured: {error}")
    run.result_set.facts.setdefault("not_measured", {})[what] = str(error)
