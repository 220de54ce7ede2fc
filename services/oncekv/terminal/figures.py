"""A server's figures, out of two looks at its `/metrics`: what happened in between, and what is there now.

The counters are those of `oncerpc.server.metrics`. Where one has become smaller its server began anew, and all of
that happened since. Quantiles come from a histogram's buckets, as Prometheus' `histogram_quantile` has them: exact to
a bucket, linear within. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Figures", "Look", "figures", "look"]

LATENCY = "oncekv_request_seconds_bucket"
GROUP_CALLS = "oncekv_commit_group_calls_sum"
COUNTERS = ("_total", "_bucket", "_sum", "_count")
GROUPS = "oncekv_commit_groups_total"


@dataclass(frozen=True)
class Look:
    """`/metrics` at one time: series → value, by name and label; at_s is monotonic."""

    at_s: float
    series: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Figures:
    """Rates are a second's; times are milliseconds, None where nothing was measured."""

    calls_per_s: float
    effects_per_s: float
    replays_per_s: float
    refusals_per_s: float
    waits_per_s: float
    calls_per_commit: float | None
    p50_ms: float | None
    p99_ms: float | None
    sessions: int | None
    records: int | None
    methods: Mapping[str, float] = field(default_factory=dict)
    """Calls a second of each method that was called."""
    refusals: Mapping[str, float] = field(default_factory=dict)
    """Refusals a second by name."""


def look(text: str, at_s: float) -> Look:
    """Read the text format. Raises ValueError for what is none."""
    series: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series[sample.name, next(iter(sample.labels.values()), "")] = sample.value
    return Look(at_s, series)


def figures(before: Look, after: Look) -> Figures:
    """What happened from one look to the next."""
    seconds = max(after.at_s - before.at_s, 1e-9)
    counters = [key for key in after.series if key[0].endswith(COUNTERS)]
    is_anew = any(after.series[key] < before.series.get(key, 0.0) for key in counters)
    grown = {key: after.series[key] - (0.0 if is_anew else before.series.get(key, 0.0)) for key in counters}

    def rates(name: str) -> dict[str, float]:
        return {label: grown[found, label] / seconds for found, label in grown if found == name and grown[found, label]}

    methods, refusals = rates("oncekv_attempts_total"), rates("oncekv_refusals_total")
    groups = grown.get((GROUPS, ""), 0.0)
    buckets = {float(label): count for (name, label), count in grown.items() if name == LATENCY}
    return Figures(
        calls_per_s=sum(methods.values()),
        effects_per_s=sum(rates("oncekv_effects_total").values()),
        replays_per_s=sum(rates("oncekv_replays_total").values()),
        refusals_per_s=sum(refusals.values()),
        waits_per_s=sum(rates("oncekv_waits_total").values()),
        calls_per_commit=grown.get((GROUP_CALLS, ""), 0.0) / groups if groups else None,
        p50_ms=_quantile_ms(buckets, 0.5),
        p99_ms=_quantile_ms(buckets, 0.99),
        sessions=_gauge(after, "oncekv_sessions"),
        records=_gauge(after, "oncekv_records"),
        methods=methods,
        refusals=refusals,
    )


def _gauge(found: Look, name: str) -> int | None:
    value = found.series.get((name, ""))
    return None if value is None else int(value)


def _quantile_ms(buckets: Mapping[float, float], share: float) -> float | None:
    """`buckets`: upper bound in seconds → how many are at or below it."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    low_s = below = 0.0
    for bound_s in bounds:
        if buckets[bound_s] >= share * total:
            if math.isinf(bound_s):
                return low_s * 1000
            within = (share * total - below) / (buckets[bound_s] - below)
            return (low_s + (bound_s - low_s) * within) * 1000
        low_s, below = bound_s, buckets[bound_s]
    return low_s * 1000
