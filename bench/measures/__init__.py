"""The measurements, one file each, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.measures import client, growth, identity, latency, memory, shapes, writes
from bench.run import Run

__all__ = ["MEASURES"]

MEASURES: dict[str, Callable[[Run], None]] = {
    "writes": writes.measure,
    "shapes": shapes.measure,
    "latency": latency.measure,
    "identity": identity.measure,
    "growth": growth.measure,
    "memory": memory.measure,
    "client": client.measure,
}
"""By name, as `--only` takes it."""
