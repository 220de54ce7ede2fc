"""7. The client: calls a second of one thread, of 32 threads and of batches, against bare `requests`.

Each in a process of its own (`bench.load.python_client`), all on one server. At-most-once, the client's default; bare requests
send the same body, identity and acknowledgement included, and decode the reply. 32 batches of 100 are more calls than
the session's window has places: some wait.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack

from bench.process import child
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import server

__all__ = ["BARE", "NAME", "ROWS", "measure"]

NAME = "client"
BARE = "bare requests"
THREADS = (1, 32)
ROWS = {BARE: "bare", "OnceKV's client": "stub", "OnceKV's client, batches of 100": "batch"}
GRACE_S = 30.0


def measure(run: Run) -> None:
    """All in turn."""
    part = run.part(
        Part(NAME, "7. The client, single writes", "calls/s", against=BARE, note="× is against bare requests.")
    )
    with ExitStack() as stack:
        folder = stack.enter_context(run.folder("client"))
        url = stack.enter_context(server(folder / "data")).url
        for _ in run.rounds(run.effort.client_rounds, "client"):
            for row, way in ROWS.items():
                for threads in THREADS:
                    column = f"{threads} thread{'s' if threads > 1 else ''}"
                    run.add(part, row, column, _load(url, way, threads, run))


def _load(url: str, way: str, threads: int, run: Run) -> float:
    words = [sys.executable, "-m", "bench.load.python_client", url, way, str(threads), str(run.effort.seconds)]
    with child(words, stdout=subprocess.PIPE, stderr=sys.stderr.fileno()) as process:
        output, _ = process.communicate(timeout=run.effort.seconds + GRACE_S)
    return float(json.loads(output)["per_s"])
