"""`python -m bench.baselines.serve FOLDER PORT THREADS`: the Flask baseline on the HTTP server that OnceKV uses.

granian in one process with as many threads as OnceKV gives it, so that what differs is what stands behind it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.server.mt import MTServer

from bench.baselines.flask_app import baseline_app


class _Granian(MTServer):
    """Meant for Python without the GIL, and says so; with it, it serves the same way."""

    def _check_gil(self) -> None:
        pass


def main(folder: str, port: str, threads: str) -> None:
    """Serve the baseline until SIGTERM."""
    serve(baseline_app(Path(folder)), int(port), int(threads))


def serve(app: Any, port: int, threads: int) -> None:
    """Serve an application in this process until SIGTERM."""
    server = _Granian(
        "baseline",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=threads,
        backpressure=16_384,
        http=HTTPModes.http1,
        websockets=False,
        runtime_mode=RuntimeModes.st,
        log_enabled=False,
    )
    server.serve(target_loader=lambda: app, wrap_loader=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
