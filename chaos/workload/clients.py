"""The clients of a workload: `oncekv.client` with its mercies turned off, so that the server's gate has to do the work.

They do not tell the server how long they wait, for it is late arrivals that are to be seen running, and they begin each
call on their first link, for that is the one that breaks.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from msgspec import Struct

import oncekv.client as oncekv
from oncekv.client import Client, RetryPolicy

__all__ = ["ClientPlan", "open_client", "options_of"]

RETRY_FIRST_DELAY_S = 0.02
RETRY_DELAY_MAX_S = 0.1


class ClientPlan(Struct, frozen=True):
    """One client, as plain data, so that it can be sent to a process of its own. Times in seconds."""

    semantics: str
    links: list[str]
    attempt_timeout_s: float
    call_timeout_s: float
    lease_ms: int | None
    outbox: str
    seed: str


def open_client(plan: ClientPlan) -> Client:
    """A client of the key/value server."""
    return oncekv.connect(plan.links, **options_of(plan))


def options_of(plan: ClientPlan) -> dict[str, Any]:
    """What `connect` is given besides the links; only exactly-once has an outbox, and no deadline."""
    exactly_once = plan.semantics == "exactly-once"
    return {
        "semantics": plan.semantics,
        "timeout_s": None if exactly_once else plan.call_timeout_s,
        "retry": RetryPolicy(
            first_delay_s=RETRY_FIRST_DELAY_S,
            delay_max_s=RETRY_DELAY_MAX_S,
            attempt_timeout_s=plan.attempt_timeout_s,
        ),
        "outbox": Path(plan.outbox) if exactly_once else None,
        "session_lease_ms": plan.lease_ms,
        "sends_timeout": False,
        "stays_on_good_link": False,
        "rng": random.Random(plan.seed),
    }
