"""A handler that blocks: how long the others wait while one caller's call stands still, and while many stand still.

The blocked ones are writes to one key that a failpoint holds for a second after the commit; the others read other keys.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.concurrency.names import BLOCKED
from bench.load.plan import VALUE, Shape, put_load
from bench.load.rpc import Rpc
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import MODELS, server

__all__ = ["COUNTS", "LONGEST", "P99", "READS", "SLEEP_MS", "measure", "row"]

SLEEP_MS = 1_000
COUNTS = (0, 1, 16)
READS = "reads/s"
P99 = "p99, ms"
LONGEST = "longest, ms"
CONNECTIONS = 8
SECONDS = 3  # long enough that some of them must meet the blocked ones
ROUNDS_MAX = 3
SETTLE_S = 0.2


def row(model: str, blocked: int) -> str:
    """The name of a row."""
    return f"{model}, {blocked} blocked" if blocked else f"{model}, nobody blocked"


def measure(run: Run) -> None:
    """Every model with nobody, one and many blocked."""
    title = f"A handler that blocks for {SLEEP_MS} ms: what others wait for their reads, {CONNECTIONS} connections"
    part = run.part(Part(BLOCKED, title, "reads/s, ms"))
    rounds = min(run.effort.rounds, ROUNDS_MAX)
    with ExitStack() as stack:
        nodes = []
        for name in MODELS:
            folder = stack.enter_context(run.folder(f"blocked-{name}"))
            url = stack.enter_context(server(folder / "data", how=["--model", name], failpoints=True)).url
            rpc = stack.enter_context(Rpc(url))
            rpc.batch([("kv.put", {"key": f"k{number:07d}", "value": VALUE}) for number in range(1_000)])
            arming = {"action": f"sleep:{SLEEP_MS}", "count": 1_000_000, "match": {"key": "slow"}}
            rpc.call("debug.failpoint", {"name": "after_commit", **arming})
            nodes.append((name, url, folder, rpc))
        for _ in run.rounds(rounds, "a handler that blocks"):
            for name, url, folder, rpc in nodes:
                for count in COUNTS:
                    _round(run, part, row(name, count), url, folder, rpc, count)


def _round(run: Run, part: Part, label: str, url: str, folder: Path, rpc: Rpc, count: int) -> None:
    names = rpc.open_sessions(CONNECTIONS)
    with _blocked(url, count):
        load = put_load(url, folder, Shape("get"), names, connections=CONNECTIONS, seconds=SECONDS)
    run.add(part, label, READS, load.per_s, load.faults)
    run.add(part, label, P99, load.p99_us / 1000)
    run.add(part, label, LONGEST, load.max_us / 1000)


@contextmanager
def _blocked(url: str, count: int) -> Iterator[None]:
    """So many callers that stand in a blocked call all the time."""
    over = threading.Event()

    def stand() -> None:
        with Rpc(url) as rpc:
            while not over.is_set():
                rpc.call("kv.increment", {"key": "slow"})

    callers = [threading.Thread(target=stand, daemon=True) for _ in range(count)]
    for caller in callers:
        caller.start()
    if count:
        time.sleep(SETTLE_S)  # until they stand
    try:
        yield
    finally:
        over.set()
        for caller in callers:
            caller.join(2 * SLEEP_MS * max(1, count) / 1000)
