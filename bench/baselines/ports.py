"""A free port for a server of somebody else's, and the wait until it answers there."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import requests

__all__ = ["BaselineFailed", "await_answer", "free_port"]

START_MAX_S = 20.0
LOOK_S = 0.05


class BaselineFailed(Exception):
    """A baseline did not come up; the message ends with the last line of its log."""


def free_port() -> int:
    """A port that is free now. Another process may take it before it is used; then the server says so, and fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_answer(process: subprocess.Popen[bytes], log: Path, answers: Callable[[], bool]) -> None:
    """Return when it answers. Raises BaselineFailed."""
    end_s = time.monotonic() + START_MAX_S
    while process.poll() is None and time.monotonic() < end_s:
        with contextlib.suppress(requests.RequestException):
            if answers():
                return
        time.sleep(LOOK_S)
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    raise BaselineFailed(f"it does not answer: {said[-1] if said else 'its log is empty'}")
