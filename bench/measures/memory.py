"""6. What a client costs: bytes of memory and of disk a session, and whether they grow with its calls.

Real calls, by HTTP, in batches: sessions are opened, then each of them makes one call after the other, acknowledging
the one before, as a client does that is there all day. The last call of each stays unacknowledged: an idle session
keeps one record.

Memory is the resident sets of the server's processes, disk the pages in use with the log written back, each above what
they were before the first session.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench.load.rpc import Rpc
from bench.prefill import LEASE_MS, disk_bytes, fold
from bench.procfs import resident_bytes
from bench.progress import progress
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import server

__all__ = ["AFTER", "DISK", "MEMORY", "NAME", "OPENED", "measure"]

NAME = "memory"
MEMORY = "bytes of memory a session"
DISK = "bytes of disk a session"
OPENED = "{:,} sessions opened"
AFTER = "after {} call{} each ({:,} in all)"
PORTION = 500  # calls in a request: below the server's queue
KEYS = 100
WARM_UP_BATCHES = 40


def measure(run: Run) -> None:
    """Open them, then let each make its calls, with a look after each turn."""
    count, calls_max = run.effort.sessions[-1], run.effort.calls_a_session
    title = "6. Memory and disk of a session, and over a long run"
    part = run.part(Part(NAME, title, "bytes", note="Real calls in batches of 500; above what an empty server takes."))
    with ExitStack() as stack:
        folder = stack.enter_context(run.folder("memory"))
        node = stack.enter_context(server(folder / "data", lease_ms=LEASE_MS))
        rpc = stack.enter_context(Rpc(node.url))
        store = folder / "data" / "kv.db"
        _warm_up(rpc)
        before = _look(node.members(), store)
        progress(f"opening {count:,} sessions")
        names = rpc.open_sessions(count)
        _put(run, part, OPENED.format(count), count, before, _look(node.members(), store))
        for seq in (number + 1 for number in run.rounds(calls_max, f"a call of each of {count:,} sessions")):
            _call_each(rpc, names, seq)
            row = AFTER.format(seq, "s" if seq > 1 else "", seq * count)
            _put(run, part, row, count, before, _look(node.members(), store))


def _warm_up(rpc: Rpc) -> None:
    """What the first requests make the server allocate once is not the sessions'."""
    for _ in range(WARM_UP_BATCHES):
        rpc.batch([("kv.increment", {"key": f"n/{number % KEYS}"}) for number in range(PORTION)])


def _call_each(rpc: Rpc, names: list[str], seq: int) -> None:
    for first in range(0, len(names), PORTION):
        rpc.batch(
            [
                (
                    "kv.increment",
                    {"key": f"n/{number % KEYS}", "_meta": {"session": name, "seq": seq, "acked": seq - 1}},
                )
                for number, name in enumerate(names[first : first + PORTION])
            ]
        )


def _look(pids: list[int], store: Path) -> tuple[int, int]:
    fold(store)
    return sum(map(resident_bytes, pids)), disk_bytes(store)


def _put(run: Run, part: Part, row: str, count: int, before: tuple[int, int], now: tuple[int, int]) -> None:
    run.add(part, row, MEMORY, (now[0] - before[0]) / count)
    run.add(part, row, DISK, (now[1] - before[1]) / count)
    run.add(part, row, "MiB resident", now[0] / 2**20)
