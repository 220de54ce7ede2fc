"""8. Fairness: what eight clients with single writes feel of one that sends deep batches, back to back.

The committer takes a request's calls by turns with those of the others (`SHARE_MAX`), in groups of bounded size. What
is left to feel is the rest of the way: a body of thousands of calls is decoded, and its replies are encoded, by the
same interpreter, and its calls fill the queue, over whose bound everybody is refused.

The deep client's body stays the same, without identities, so that the client itself takes next to no time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import requests

from bench.load.plan import VALUE, Shape, put_load
from bench.load.rpc import TIMEOUT_S, Rpc
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import DEFAULT, server

__all__ = ["ALONE", "BESIDE", "CALLS", "DEEP", "NAME", "P50", "P99", "REFUSED", "measure", "row"]

NAME = "fairness"
ALONE = "alone"
BESIDE = "beside batches of {:,}"
P50 = "p50, ms"
P99 = "p99, ms"
CALLS = "calls/s"
REFUSED = "refused as overloaded, %"
DEEP = "the deep client's calls/s"
CONNECTIONS = 8
HOW = {"default": DEFAULT, "threads": ("--model", "threads")}
JOIN_MAX_S = 30.0


def row(model: str, what: str) -> str:
    """The name of a row."""
    return f"{model}: {what}"


def measure(run: Run) -> None:
    """For each way to serve: nobody else, then one client of each depth, in turn."""
    part = run.part(
        Part(
            NAME,
            f"8. Fairness: single writes of {CONNECTIONS} clients, beside one with deep batches",
            "ms, calls/s, %",
            against=ALONE,
            across=True,
            note="× is against the same clients alone. The queue has 1,024 places; what finds none is refused.",
        )
    )
    with ExitStack() as stack:
        nodes = []
        for name, how in HOW.items():
            folder = stack.enter_context(run.folder("fairness"))
            url = stack.enter_context(server(folder / "data", how=how)).url
            nodes.append(_Node(name, url, folder, stack.enter_context(Rpc(url))))
        for _ in run.rounds(run.effort.fairness_rounds, "fairness"):
            for node in nodes:
                for depth in (0, *run.effort.depths):
                    _round(run, part, node, depth)


@dataclass(frozen=True)
class _Node:
    model: str
    url: str
    folder: Path
    rpc: Rpc


def _round(run: Run, part: Part, node: _Node, depth: int) -> None:
    sessions = node.rpc.open_sessions(CONNECTIONS)
    with _deep(node.url, depth) as done:
        load = put_load(node.url, node.folder, Shape(), sessions, connections=CONNECTIONS, seconds=run.effort.seconds)
        deep_per_s = done.per_s
    column = BESIDE.format(depth) if depth else ALONE
    broken = load.faults - load.bad
    for what, value in ((P50, load.p50_us / 1000), (P99, load.p99_us / 1000), (CALLS, load.per_s)):
        run.add(part, row(node.model, what), column, value, broken)
    run.add(part, row(node.model, REFUSED), column, 100 * load.bad / max(1, load.requests))
    if depth:
        run.add(part, row(node.model, DEEP), column, deep_per_s)


class _Done:
    """What the deep client has done so far."""

    def __init__(self) -> None:
        self.calls = 0
        self.began_s = time.perf_counter()

    @property
    def per_s(self) -> float:
        """Calls that ran, those of the batch under way not counted."""
        return self.calls / (time.perf_counter() - self.began_s)


@contextmanager
def _deep(url: str, depth: int) -> Iterator[_Done]:
    """One client that sends batches of so many calls one after the other; none where `depth` is 0."""
    done, over = _Done(), threading.Event()
    calls = [
        {"jsonrpc": "2.0", "id": n, "method": "kv.put", "params": {"key": f"deep{n:07d}", "value": VALUE}}
        for n in range(depth)
    ]
    body = msgspec.json.encode(calls)

    def send() -> None:
        with requests.Session() as http:
            http.trust_env = False
            while not over.is_set():
                reply = http.post(
                    f"{url}/rpc", body, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_S
                ).content
                done.calls += reply.count(b'"result"')

    sender = threading.Thread(target=send, daemon=True)
    if depth:
        sender.start()
    try:
        yield done
    finally:
        over.set()
        if depth:
            sender.join(JOIN_MAX_S)
