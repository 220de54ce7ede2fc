"""The wiring behind HTTP: what a configuration names, put together for one process."""

from __future__ import annotations

import secrets
import time

import oncekv
from oncekv.server.config import Config
from oncekv.server.engine.components import Components, count, read_counters
from oncekv.server.engine.dedup import make_gate
from oncekv.server.engine.leases import LeaseClock
from oncekv.server.engine.method import ServerFacts
from oncekv.server.engine.sessions import Sessions
from oncekv.server.engine.storage.base import Store
from oncekv.server.failpoints import Failpoints
from oncekv.server.metrics import Metrics
from oncekv.server.rpc.methods import methods
from oncekv.wire.structs import build_structs

__all__ = ["make_components"]

NAME_BYTES = 16  # 128 random bits: whoever holds the name is the client


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
        Metrics(lambda: count(store)),
    )
