"""What the parts of the concurrency run are called, for those who measure, judge and draw them."""

from __future__ import annotations

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
