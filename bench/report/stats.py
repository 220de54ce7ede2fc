"""Medians, spreads and ratios of a few rounds. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Spread", "paired", "spread"]


class Spread(NamedTuple):
    """What some rounds measured; `low` and `high` are the extremes, since five rounds have no percentiles."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """The median and extremes of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def paired(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """The ratio round by round: what slows a machine down for a while slows both of a pair, and cancels out.

    A round that only one of them has (the run was interrupted) is left out, and so is one in which nothing was done.
    """
    return [above / below for above, below in zip(numerators, denominators, strict=False) if below > 0]
