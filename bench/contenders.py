"""Those that make the same durable write: OnceKV, its two controls, etcd, and Flask. Each under a load of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.baselines.etcd import etcd_baseline
from bench.baselines.flask import flask_baseline
from bench.load.plan import Shape, put_load
from bench.load.rpc import Rpc
from bench.load.wrk import Load
from bench.run import Run
from bench.servers import DEFAULT, server
from chaos.runtime.etcd import find_etcd

__all__ = [
    "ALONE",
    "CONTENDERS",
    "EMPTY",
    "ETCD",
    "FLASK",
    "MEMORY",
    "NONE",
    "ONCEKV",
    "THREADS",
    "Contender",
    "new_names",
]

ONCEKV = "OnceKV as it starts by default"
ALONE = "OnceKV, in one process (--writer thread)"
THREADS = "OnceKV, --model threads"
MEMORY = "OnceKV, records in memory only"
NONE = "OnceKV, identities ignored"
ETCD = "etcd, one txn (compare, value, record) by its JSON gateway"
FLASK = "Flask view that commits each request"
EMPTY = "Flask view that does nothing"

_NAMES = itertools.count(1)


@dataclass
class Contender:
    """One of them, running."""

    label: str
    url: str
    folder: Path
    shape: Shape
    sessions: Callable[[int], list[str]]

    def load(self, connections: int, seconds: int, rate: float = 0.0) -> Load:
        """One round, on sessions of its own."""
        shape = replace(self.shape, rate=rate)
        sessions = self.sessions(connections)
        return put_load(self.url, self.folder, shape, sessions, connections=connections, seconds=seconds)


def _oncekv(
    label: str, delivery: str = "persisted", how: Sequence[str] = DEFAULT
) -> Callable[[ExitStack, Run], Contender]:
    def open_one(stack: ExitStack, run: Run) -> Contender:
        folder = stack.enter_context(run.folder(f"oncekv-{delivery}"))
        url = stack.enter_context(server(folder / "data", delivery=delivery, how=how)).url
        return Contender(label, url, folder, Shape(), stack.enter_context(Rpc(url)).open_sessions)

    return open_one


def _flask(label: str, script: str) -> Callable[[ExitStack, Run], Contender]:
    def open_one(stack: ExitStack, run: Run) -> Contender:
        folder = stack.enter_context(run.folder("flask"))
        return Contender(label, stack.enter_context(flask_baseline(folder)), folder, Shape(script), new_names)

    return open_one


def _etcd(stack: ExitStack, run: Run) -> Contender:
    program = find_etcd()
    folder = stack.enter_context(run.folder("etcd"))
    return Contender(ETCD, stack.enter_context(etcd_baseline(program, folder)), folder, Shape("etcd"), new_names)


def new_names(count: int) -> list[str]:
    """Names as long as a session's, for those who give out none."""
    return [f"{next(_NAMES):022d}" for _ in range(count)]


CONTENDERS: dict[str, Callable[[ExitStack, Run], Contender]] = {
    ONCEKV: _oncekv(ONCEKV),
    ALONE: _oncekv(ALONE, how=["--writer", "thread"]),
    THREADS: _oncekv(THREADS, how=["--model", "threads"]),
    MEMORY: _oncekv(MEMORY, "memory"),
    NONE: _oncekv(NONE, "none"),
    ETCD: _etcd,
    FLASK: _flask(FLASK, "flask"),
    EMPTY: _flask(EMPTY, "empty"),
}
"""By label: what opens one. Raises EtcdMissing or BaselineFailed where it cannot be had."""
