"""What the parts of the concurrency run are called, for those who measure, judge and draw them."""

from __future__ import annotations

from bench.servers import models

__all__ = [
    "BACKGROUND",
    "BLOCKED",
    "CALLS",
    "CORES",
    "DISK",
    "EVENTS",
    "IDLE",
    "SLOW",
    "THREADS",
    "model_names",
]

SLOW = "slow"
DISK = "disk"
CORES = "cores"
BACKGROUND = "background"
BLOCKED = "blocked"
IDLE = "idle"

CALLS = "calls/s"
THREADS = "threads"
EVENTS = "event-loop"


def model_names() -> dict[str, str]:
    """The name that a row has, with what `--model` is given; a server without the flag has threads."""
    return {model or THREADS: model for model in models()}
