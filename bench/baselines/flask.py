"""The Flask baseline as a running server."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import requests

from bench.baselines.ports import await_answer, free_port
from bench.process import child

__all__ = ["THREADS", "flask_baseline"]

THREADS = 1_088
"""As many as `oncekv serve` gives the same HTTP server."""


@contextlib.contextmanager
def flask_baseline(folder: Path) -> Iterator[str]:
    """Its URL while it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "flask.log").open("ab") as log:
        words = [sys.executable, "-m", "bench.baselines.serve", str(folder), str(port), str(THREADS)]
        with child(words, stdout=log, stderr=log) as process:
            await_answer(process, folder / "flask.log", lambda: requests.post(f"{url}/empty", timeout=1).ok)
            yield url
