"""`python -m bench.baselines.library_serve DATABASE_URL PORT`: the two views on granian, with a thread a connection."""

from __future__ import annotations

import sys
from typing import Any

from bench.baselines.library_app import library_app
from bench.baselines.serve import serve

THREADS = 16


def main(url: str, port: str) -> None:
    """Serve until SIGTERM."""
    app: Any = library_app(url)
    serve(app, int(port), THREADS)


if __name__ == "__main__":
    main(*sys.argv[1:])
