"""The wiring behind HTTP: what a configuration names, put together for one process."""

from __future__ import annotations

import secrets
import time

from oncerpc.server.config import Config
from oncerpc.server.dedup import make_gate
from oncerpc.server.failpoints import Failpoints
from oncerpc.server.leases import GAP_MAX_MS, LeaseClock
from oncerpc.server.metrics import Metrics
from oncerpc.server.rpc.components import Components, StoreT, count, read_counters
from oncerpc.server.rpc.method import ServerFacts, Service
from oncerpc.server.rpc.methods import offered
from oncerpc.server.sessions import Sessions
from oncerpc.wire.structs import build_structs

__all__ = ["assemble"]

NAME_BYTES = 16  # 128 random bits: whoever holds the name is the client


def assemble(
    config: Config,
    service: Service,
    store: StoreT,
    boot: int,
    failpoints: Failpoints | None,
    gap_max_ms: float | None = GAP_MAX_MS,
) -> Components[StoreT]:
    """Put together what `config` names. `gap_max_ms`: as the LeaseClock has it."""
    started_s = time.monotonic()
    sessions = Sessions(config, lambda: secrets.token_urlsafe(NAME_BYTES))
    facts = ServerFacts(
        config=config,
        service=service,
        boot=boot,
        store=store.name,
        uptime_ms=lambda: int((time.monotonic() - started_s) * 1000),
        sessions=sessions,
        methods=offered(service.methods, failpoints=failpoints is not None),
        failpoints=failpoints,
        limits=getattr(store, "limits", {}),  # a store that has none need not say so
    )
    build_structs(method.params for method in facts.methods.values())
    return Components(
        config,
        facts,
        store,
        make_gate(config, sessions),
        LeaseClock(time.monotonic, read_counters(store).clock_ms, gap_max_ms),
        Metrics(lambda: count(store)),
    )
