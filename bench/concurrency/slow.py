"""I/O concurrency: calls a second against connections, while each call waits for the store, and on the real disk.

The slow store is the failpoint `after_commit`, which lets each call wait by itself, as a store does that answers late
and takes many at once: what one caller waits, the others can use. Limit: the failpoints' own bookkeeping and their door
cost time at high rates, so the curve bends earlier than the server alone would bend it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.concurrency.names import DISK, SLOW
from bench.load.plan import Shape, put_load
from bench.load.rpc import Rpc
from bench.measures.writes import column
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import MODELS, server

__all__ = ["SLEEP_MS", "measure", "measure_disk"]

SLEEP_MS = 20
ARMED_MAX = 1_000_000
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128)
CONNECTIONS_FEW = (1, 8, 64)
ROUNDS_MAX = 5


@dataclass
class _Node:
    row: str
    url: str
    folder: Path
    rpc: Rpc


def measure(run: Run) -> None:
    """Every call waits `SLEEP_MS` for the store."""
    title = f"I/O concurrency: writes while each waits {SLEEP_MS} ms for the store"
    _measure(
        run,
        Part(SLOW, title, "calls/s", note=f"One call after the other would be {1000 // SLEEP_MS} calls/s."),
        SLEEP_MS,
    )


def measure_disk(run: Run) -> None:
    """The same without a failpoint: what calls wait for is the disk's sync, which a group shares."""
    _measure(run, Part(DISK, "I/O concurrency: durable writes on the real disk", "calls/s"), 0)


def _measure(run: Run, part: Part, sleep_ms: int) -> None:
    run.part(part)
    counts = CONNECTIONS if run.effort.name == "full" else CONNECTIONS_FEW
    rounds = min(run.effort.rounds, ROUNDS_MAX)
    with ExitStack() as stack:
        nodes = [_open(run, stack, name, sleep_ms) for name in MODELS]
        for _ in run.rounds(rounds, part.title):
            for count in counts:
                for node in nodes:
                    sessions = node.rpc.open_sessions(count)
                    load = put_load(
                        node.url, node.folder, Shape(), sessions, connections=count, seconds=run.effort.seconds
                    )
                    run.add(part, node.row, column(count), load.per_s, load.faults)


def _open(run: Run, stack: ExitStack, name: str, sleep_ms: int) -> _Node:
    folder = stack.enter_context(run.folder(f"slow-{name}"))
    url = stack.enter_context(server(folder / "data", how=["--model", name], failpoints=sleep_ms > 0)).url
    rpc = stack.enter_context(Rpc(url))
    if sleep_ms:
        rpc.call("debug.failpoint", {"name": "after_commit", "action": f"sleep:{sleep_ms}", "count": ARMED_MAX})
    return _Node(name, url, folder, rpc)
