"""Multicore: one worker and two, with a method that only computes (pages of a thousand keys) and with writes."""

from __future__ import annotations

from contextlib import ExitStack

from bench.concurrency.names import CORES
from bench.load.plan import VALUE, Shape, put_load
from bench.load.rpc import Rpc
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import MODELS, server

__all__ = ["LIST", "PUT", "measure", "row"]

LIST = "pages of 1,000 keys, calls/s"
PUT = "single writes, calls/s"
WORKERS = (1, 2)
CONNECTIONS = 32
ROUNDS_MAX = 5


def row(model: str, workers: int) -> str:
    """The name of a row."""
    return f"{model}, {workers} worker{'s' if workers > 1 else ''}"


def measure(run: Run) -> None:
    """Every model with one and two workers, in turn; the load generator takes its share of the cores."""
    part = run.part(Part(CORES, "Multicore: workers", "calls/s", note="The load generator runs on the same cores."))
    rounds = min(run.effort.rounds, ROUNDS_MAX)
    with ExitStack() as stack:
        nodes = []
        for name in MODELS:
            for workers in WORKERS:
                folder = stack.enter_context(run.folder(f"cores-{name}-{workers}"))
                url = stack.enter_context(server(folder / "data", how=["--model", name], workers=workers)).url
                rpc = stack.enter_context(Rpc(url))
                rpc.batch([("kv.put", {"key": f"k{number:07d}", "value": VALUE}) for number in range(1_000)])
                nodes.append((row(name, workers), url, folder, rpc))
        for _ in run.rounds(rounds, "multicore"):
            for label, url, folder, rpc in nodes:
                for column, shape in ((LIST, Shape("list")), (PUT, Shape())):
                    names = rpc.open_sessions(CONNECTIONS)
                    load = put_load(url, folder, shape, names, connections=CONNECTIONS, seconds=run.effort.seconds)
                    run.add(part, label, column, load.per_s, load.faults)
