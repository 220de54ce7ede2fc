"""What both the dispatch and the committer of a server stand on: the store, the gate, the clock, the counters."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import oncekv
from oncekv.server.config import Config
from oncekv.server.engine.dedup import make_gate
from oncekv.server.engine.dedup.base import DedupGate
from oncekv.server.engine.method import ServerFacts
from oncekv.server.engine.sessions import LeaseClock, Sessions
from oncekv.server.engine.storage.base import Counters, Store, StoreRefused
from oncekv.server.failpoints import Failpoints
from oncekv.server.metrics import Metrics
from oncekv.server.rpc.methods import methods
from oncekv.wire.structs import build_structs

__all__ = ["Components", "make_components", "read_counters"]

NAME_BYTES = 16  # 128 random bits: whoever holds the name is the client


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


def make_components(config: Config, store: Store, boot: int, failpoints: Failpoints | None) -> Components:
    """Put together what `config` names."""
    started_s = time.monotonic()
    sessions = Sessions(config, lambda: secrets.token_urlsafe(NAME_BYTES))
    facts = ServerFacts(
        config=config,
        boot=boot,
        store=store.name,
        release=oncekv.__version__,
        uptime_ms=lambda: int((time.monotonic() - started_s) * 1000),
        sessions=sessions,
        methods=methods(failpoints=failpoints is not None),
        failpoints=failpoints,
    )
    build_structs(method.params for method in facts.methods.values())
    return Components(
        config,
        facts,
        store,
        make_gate(config, sessions),
        LeaseClock(time.monotonic, read_counters(store).clock_ms),
        Metrics(lambda: _counts(store)),
    )


def read_counters(store: Store) -> Counters:
    """What the store counts, as it is committed."""
    with store.read() as reader:
        return reader.counters()


def _counts(store: Store) -> dict[str, int]:
    """What the store counts; nothing, while it is not there."""
    try:
        return read_counters(store)._asdict()
    except StoreRefused:
        return {}
