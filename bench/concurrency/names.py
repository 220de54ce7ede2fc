"""What the parts of the concurrency run are called, for those who measure, judge and draw them."""

from __future__ import annotations

__all__ = ["BACKGROUND", "BLOCKED", "CORES", "IDLE", "SLOW"]

SLOW = "slow"
CORES = "cores"
BACKGROUND = "background"
BLOCKED = "blocked"
IDLE = "idle"
