"""The measurements, one file each, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.measures import client, fairness, growth, identity, latency, library, memory, operations, stores, writes
from bench.run import Run

__all__ = ["MEASURES", "SHARES"]

MEASURES: dict[str, Callable[[Run], None]] = {
    "writes": writes.measure,
    "shapes": operations.measure,
    "latency": latency.measure,
    "identity": identity.measure,
    "growth": growth.measure,
    "memory": memory.measure,
    "client": client.measure,
    "fairness": fairness.measure,
    "library": library.measure,
    "stores": stores.measure,
}
"""By name, as `--only` takes it."""

SHARES = {
    "writes": 0.24,
    "shapes": 0.08,
    "latency": 0.10,
    "identity": 0.08,
    "growth": 0.14,
    "memory": 0.10,
    "client": 0.07,
    "fairness": 0.03,
    "library": 0.05,
    "stores": 0.12,
}
"""Of the time of a whole run; what one does not need is left to those behind it."""
