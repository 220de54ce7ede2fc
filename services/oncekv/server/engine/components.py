"""What both the dispatch and the committer of a server stand on: the store, the gate, the clock, the counters."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from oncekv.server.config import Config
from oncekv.server.engine.dedup.base import DedupGate
from oncekv.server.engine.leases import LeaseClock
from oncekv.server.engine.method import ServerFacts
from oncekv.server.engine.storage.base import Counters, Store, StoreRefused
from oncekv.server.metrics import Metrics

__all__ = ["Components", "count", "read_counters"]


@dataclass(frozen=True)
class Components:
    """The parts of one process."""

    config: Config
    facts: ServerFacts
    store: Store
    delivery: DedupGate
    clock: LeaseClock
    metrics: Metrics
    monotonic_s: Callable[[], float] = time.monotonic


def read_counters(store: Store) -> Counters:
    """What the store counts, as it is committed."""
    with store.read() as reader:
        return reader.counters()


def count(store: Store) -> dict[str, int]:
    """What the store counts; nothing, while it is not there."""
    try:
        return read_counters(store)._asdict()
    except StoreRefused:
        return {}
