"""The measurements, one file each, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.measures import client, fairness, growth, identity, latency, memory, operations, writes
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
}
"""By name, as `--only` takes it."""

SHARES = {
    "writes": 0.29,
    "shapes": 0.10,
    "latency": 0.12,
    "identity": 0.09,
    "growth": 0.17,
    "memory": 0.12,
    "client": 0.08,
    "fairness": 0.03,
}
"""Of the time of a whole run; what one does not need is left to those behind it."""
