"""What both the dispatch and the committer of a server stand on: the store, the gate, the clock, the counters."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from oncerpc.server.config import Config
from oncerpc.server.dedup.base import DedupGate
from oncerpc.server.leases import LeaseClock
from oncerpc.server.metrics import Metrics
from oncerpc.server.records import Counters, ReadableStore, StoreRefused
from oncerpc.server.rpc.method import ServerFacts

__all__ = ["Components", "count", "read_counters"]


StoreT = TypeVar("StoreT", bound=ReadableStore)


@dataclass(frozen=True)
class Components(Generic[StoreT]):
    """The parts of one process."""

    config: Config
    facts: ServerFacts
    store: StoreT
    delivery: DedupGate
    clock: LeaseClock
    metrics: Metrics
    monotonic_s: Callable[[], float] = time.monotonic


def read_counters(store: ReadableStore) -> Counters:
    """What the store counts, as it is committed."""
    with store.read() as reader:
        return reader.counters()


def count(store: ReadableStore) -> dict[str, int]:
    """What the store counts; nothing, while it is not there."""
    try:
        return read_counters(store)._asdict()
    except StoreRefused:
        return {}
