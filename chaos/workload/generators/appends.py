"""The usual mix: appends of a token to one of a few shared logs, increments of a counter of the call's own, reads.

Every effect can be counted where it happened: a token that stands twice, a counter at 2. Offsets, versions and reads
of the shared logs give the checker something to hold on to.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from chaos.workload.generators.base import Request, token_of

__all__ = ["Appends"]

LOGS = 3


class Appends:
    """Logs and counters."""

    initial: ClassVar[Mapping[str, str]] = {}
    accounts: ClassVar[Sequence[str]] = ()

    def call(self, name: str, rng: random.Random) -> Request:
        """An append or an increment."""
        log, token = f"log/{rng.randrange(LOGS)}", token_of(name)
        if rng.random() < 0.5:
            return Request("kv.increment", {"key": f"n/{name}"}, f"n/{name}", "")
        return Request("kv.append", {"key": log, "value": token}, log, token)

    def read(self, rng: random.Random) -> Request:
        """One of the logs."""
        key = f"log/{rng.randrange(LOGS)}"
        return Request("kv.get", {"key": key}, key, None)
