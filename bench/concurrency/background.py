"""Background work: what the sweep of expired sessions and the log's checkpoints cost the calls beside them.

The sweep has thousands of expired sessions before it, so that it never runs out of work while it is measured; how many
it forgot stands in the table. Another process asks for a checkpoint twenty times a second, on top of SQLite's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.concurrency.names import BACKGROUND, CALLS
from bench.load.plan import Shape, put_load
from bench.load.rpc import Rpc
from bench.prefill import fold
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import MODELS, server

__all__ = ["CHECKPOINTS", "P99", "QUIET", "SWEEP", "SWEPT", "measure", "row"]

QUIET = "nothing beside"
SWEEP = "the sweep beside"
CHECKPOINTS = "checkpoints beside"
P99 = "p99, ms"
SWEPT = "sessions forgotten"
EXPIRED = 20_000
LEASE_MS = 1_000
CONNECTIONS = 32
CHECKPOINT_EVERY_S = 0.05
ROUNDS_MAX = 5


def row(model: str, beside: str) -> str:
    """The name of a row."""
    return f"{model}, {beside}"


def measure(run: Run) -> None:
    """For each model: nothing, the sweep, checkpoints, in turn."""
    part = run.part(Part(BACKGROUND, "Background work beside single writes, 32 connections", "calls/s, ms"))
    rounds = min(run.effort.rounds, ROUNDS_MAX)
    with ExitStack() as stack:
        nodes = []
        for name in MODELS:
            for beside in (QUIET, SWEEP, CHECKPOINTS):
                folder = stack.enter_context(run.folder(f"background-{name}"))
                url = stack.enter_context(server(folder / "data", how=["--model", name])).url
                nodes.append((name, beside, url, folder, stack.enter_context(Rpc(url))))
        for _ in run.rounds(rounds, "background work"):
            for name, beside, url, folder, rpc in nodes:
                _round(run, part, row(name, beside), beside, url, folder, rpc)


def _round(run: Run, part: Part, label: str, beside: str, url: str, folder: Path, rpc: Rpc) -> None:
    if beside == SWEEP and rpc.counters()["oncekv_sessions"] < EXPIRED / 2:
        rpc.open_sessions(EXPIRED, lease_ms=LEASE_MS)
        time.sleep(LEASE_MS / 1000)
    names = rpc.open_sessions(CONNECTIONS)
    before = rpc.counters()["oncekv_sessions"]
    with _checkpoints(folder / "data" / "kv.db", wanted=beside == CHECKPOINTS):
        load = put_load(url, folder, Shape(), names, connections=CONNECTIONS, seconds=run.effort.seconds)
    run.add(part, label, CALLS, load.per_s, load.faults)
    run.add(part, label, P99, load.p99_us / 1000)
    run.add(part, label, SWEPT, before - rpc.counters()["oncekv_sessions"])


@contextmanager
def _checkpoints(store: Path, *, wanted: bool) -> Iterator[None]:
    over = threading.Event()

    def work() -> None:
        while not over.wait(CHECKPOINT_EVERY_S):
            fold(store)

    worker = threading.Thread(target=work, daemon=True)
    if wanted:
        worker.start()
    try:
        yield
    finally:
        over.set()
        if wanted:
            worker.join()
