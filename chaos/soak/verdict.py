"""Is it flat, and is every promise kept: judged from the evidence alone. Pure.

**Flat** is said of the second server, which is never restarted, and of the store. The first third of the time is
warm-up. The other two are compared: the median of the last third may be at most 5 % above that of the second; for the
store, whose size goes up and down with its log, the largest in place of the median. What small numbers do by themselves
is let through (`ROOM`). What grows by a steady amount in an hour is seen in the slope, which is told beside it.

Latency is told, not judged: it is the machine's as much as ours.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from chaos.soak.sampler import Sample

__all__ = ["FLAT_MAX", "Trend", "trends"]

FLAT_MAX = 0.05
MIB = 1024 * 1024
LOG_MAX_MIB = 20
"""SQLite's log may have 16 MiB, and what the last transaction adds."""
STEADY = 1
"""The server that is never restarted, among `Sample.servers`."""


class Trend:
    """One figure over the run. is_judged: whether it must be flat."""

    def __init__(
        self, name: str, unit: str, points: Sequence[tuple[float, float]], room: float | None,
        of: Callable[[Sequence[float]], float] = statistics.median,
    ) -> None:  # fmt: skip
        end_s = points[-1][0] if points else 0.0
        warm = [value for at, value in points if at < end_s / 3]
        second = [(at, value) for at, value in points if end_s / 3 <= at < end_s * 2 / 3]
        last = [(at, value) for at, value in points if at >= end_s * 2 / 3]
        self.name, self.unit = name, unit
        self.is_judged = room is not None
        self.is_empty = not (warm and second and last)
        self.warm_up, self.before, self.after = (
            of([*values]) if values else 0.0
            for values in (warm, [value for _, value in second], [value for _, value in last])
        )
        self.per_hour = _slope([*second, *last]) * 3600
        self._room = room or 0.0

    @property
    def change(self) -> float:
        """From the second third to the last, as a fraction."""
        return (self.after - self.before) / self.before if self.before else 0.0

    @property
    def is_flat(self) -> bool:
        return not self.is_judged or self.change <= FLAT_MAX or self.after - self.before <= self._room


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """All that is sampled."""
    held = [(one.at_s, one.servers[STEADY]) for one in samples]
    of_server = [(at, server) for at, server in held if server is not None]
    seen = [one for one in samples if one.calls]
    return [
        Trend("resident memory", "MiB", [(at, it.resident_bytes / MIB) for at, it in of_server], 1.0),
        Trend("descriptors", "", [(at, it.descriptors) for at, it in of_server], 3),
        Trend("threads", "", [(at, it.threads) for at, it in of_server], 1),
        Trend("store", "MiB", [(one.at_s, one.store_bytes / MIB) for one in samples], 1.0, max),
        Trend("store's log", "MiB", [(one.at_s, one.log_bytes / MIB) for one in samples], LOG_MAX_MIB, max),
        Trend("latency, median", "ms", [(one.at_s, one.p50_ms) for one in seen], None),
        Trend("latency, 99 of 100", "ms", [(one.at_s, one.p99_ms) for one in seen], None),
    ]


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """By least squares."""
    if len({at for at, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([at for at, _ in points], [value for _, value in points]).slope
