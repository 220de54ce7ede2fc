"""Threads and events, side by side: what the lecture claims of them, measured on one dispatch and one committer.

`python -m bench concurrency`. Where the server has no `--model` yet, its one model is measured, and the claims that
compare two say so.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.concurrency import background, blocked, cores, idle, slow
from bench.concurrency.claims import claims_text
from bench.run import Run

__all__ = ["MEASURES", "SHARES", "claims_text"]

MEASURES: dict[str, Callable[[Run], None]] = {
    "slow": slow.measure,
    "disk": slow.measure_disk,
    "cores": cores.measure,
    "background": background.measure,
    "blocked": blocked.measure,
    "idle": idle.measure,
}
"""By name, as `--only` takes it."""

SHARES = {"slow": 0.27, "disk": 0.27, "cores": 0.14, "background": 0.1, "blocked": 0.17, "idle": 0.05}
"""Of the time of a whole run; what one does not need is left to those behind it."""
