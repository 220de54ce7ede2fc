"""What both the dispatch and the committer of a server stand on: the store, the gate, the clock, the counters."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import oncekv
from oncekv.server.config import Config
from oncekv.server.delivery import make_delivery
from oncekv.server.delivery.base import Delivery
from oncekv.server.failpoints import Failpoints
from oncekv.server.methods import methods
from oncekv.server.methods.base import ServerFacts
from oncekv.server.observe import Metrics
from oncekv.server.sessions import LeaseClock, Sessions
from oncekv.server.storage.base import Store, Tally
from oncekv.wire.shapes import build

__all__ = ["Parts", "make_parts", "read_tally"]

NAME_BYTES = 16  # 128 random bits: whoever holds the name is the client


@dataclass(frozen=True)
class Parts:
    """The parts of one process."""

    config: Config
    facts: ServerFacts
    store: Store
    delivery: Delivery
    clock: LeaseClock
    metrics: Metrics
    monotonic_s: Callable[[], float] = time.monotonic


def make_parts(config: Config, store: Store, boot: int, failpoints: Failpoints | None) -> Parts:
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
    build(method.params for method in facts.methods.values())
    return Parts(
        config,
        facts,
        store,
        make_delivery(config, sessions),
        LeaseClock(time.monotonic, read_tally(store).clock_ms),
        Metrics(lambda: read_tally(store)._asdict()),
    )


def read_tally(store: Store) -> Tally:
    """What the store counts, as it is committed."""
    with store.read() as reader:
        return reader.tally()
