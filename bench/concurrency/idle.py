"""Memory of an idle connection: a thousand clients that have each asked once and now keep their connection open."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from bench.concurrency.names import IDLE
from bench.load.rpc import Rpc
from bench.procfs import resident_bytes, threads
from bench.report.result_set import Part
from bench.run import Run
from bench.servers import MODELS, server

__all__ = ["BYTES", "THREADS_MORE", "measure"]

BYTES = "bytes a connection"
THREADS_MORE = "threads more"
CONNECTIONS_MAX = 1_000
FILES_SPARE = 200
ROUNDS_MAX = 3
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def measure(run: Run) -> None:
    """A fresh server for each round: memory that was once taken is not always given back."""
    part = run.part(Part(IDLE, "Idle connections that are kept open", "bytes"))
    count = min(CONNECTIONS_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_SPARE)
    for _ in run.rounds(min(run.effort.rounds, ROUNDS_MAX), f"{count:,} idle connections"):
        for name in MODELS:
            with ExitStack() as stack:
                folder = stack.enter_context(run.folder(f"idle-{name}"))
                node = stack.enter_context(server(folder / "data", how=["--model", name]))
                with Rpc(node.url) as rpc:
                    rpc.batch([("kv.increment", {"key": "n"})] * 100)
                before, threads_before = resident_bytes(node.pid), threads(node.pid)
                with _connections(node.url, count):
                    row = f"{name}, {count:,} connections"
                    run.add(part, row, BYTES, (resident_bytes(node.pid) - before) / count)
                    run.add(part, row, THREADS_MORE, threads(node.pid) - threads_before)


@contextmanager
def _connections(url: str, count: int) -> Iterator[None]:
    place = urlsplit(url)
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=10))
            connection.sendall(REQUEST)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200"), "the server did not answer"
        yield
