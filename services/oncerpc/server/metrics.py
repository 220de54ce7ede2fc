"""Metrics in Prometheus' text format: what an operator and the chaos harness see of a server.

Counters are counted where the thing happens; of the latencies there is a sample, so that a busy server need not pay for
each; `sessions` and `records` are read from the store at the scrape, so that
several workers and servers on one store agree on them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric

__all__ = ["Metrics"]

LATENCY_SAMPLE_S = 0.005
LATENCY_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 4, 8, 16, 32)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads


class Metrics:
    """All counters of one server; with several workers (PROMETHEUS_MULTIPROC_DIR is set) of all of them."""

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        registry = CollectorRegistry()
        self.attempts = _Labelled("oncekv_attempts", "Attempts that arrived", "method", registry)
        self.effects = _Labelled("oncekv_effects", "Writes that ran and were committed", "method", registry)
        self.replays = _Labelled("oncekv_replays", "Attempts answered from a dedup record", "method", registry)
        self.refusals = _Labelled("oncekv_refusals", "Attempts answered with an error, by its name", "name", registry)
        self.waits = _Labelled("oncekv_waits", "Attempts that waited for another transaction", "method", registry)
        self.groups = Counter("oncekv_commit_groups", "Transactions that carried calls", registry=registry)
        self.group_calls = Histogram(
            "oncekv_commit_group_calls",
            "Calls in one transaction",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=registry,
        )
        self._latency = Histogram(
            "oncekv_request_seconds",
            "From a request to its reply, of one request at most in every 5 ms",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._next_sample_s = 0.0
        self._shared = CollectorRegistry() if "PROMETHEUS_MULTIPROC_DIR" in os.environ else registry
        if self._shared is not registry:
            _OfAllWorkers(self._shared)
        self._shared.register(_FromStore(counts))

    def answered(self, arrived_s: float, now_s: float) -> None:
        """A request has its reply; times are monotonic. To observe costs twenty times what it costs to pass one by."""
        if now_s >= self._next_sample_s:
            self._next_sample_s = now_s + LATENCY_SAMPLE_S
            self._latency.observe(now_s - arrived_s)

    def text(self) -> bytes:
        """The text format 0.0.4."""
        return generate_latest(self._shared)


class _Labelled:
    """A counter for each value of one label. They are kept at hand: to look one up costs twice as much as to count."""

    def __init__(self, name: str, text: str, label: str, registry: CollectorRegistry) -> None:
        self.labels: Callable[[str], Counter] = functools.cache(Counter(name, text, [label], registry=registry).labels)


class _OfAllWorkers(multiprocess.MultiProcessCollector):
    """What the workers keep in files. An empty one is of a worker that is starting, or was killed as it did: nothing
    is counted in it yet, and prometheus_client fails over it (seen with 0.26).
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)  # type: ignore[no-untyped-call]  # untyped in the library
        self._folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])

    def collect(self) -> Iterable[Metric]:
        files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
        merged: Iterable[Metric] = self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
        return merged


class _FromStore:
    """Gauges that the store itself counts."""

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        counts = self._counts()
        if not counts:
            return
        yield GaugeMetricFamily("oncekv_sessions", "Sessions that are open", value=counts["sessions"])
        yield GaugeMetricFamily("oncekv_records", "Dedup records of sessions", value=counts["records"])
