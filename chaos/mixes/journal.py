"""The usual mix: appends of a token to one of a few shared logs, increments of a counter of the call's own, reads.

Every effect can be counted where it happened: a token that stands twice, a counter at 2. Offsets, versions and reads
of the shared logs give the checker something to hold on to.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from chaos.mixes.base import Wanted, token_of

__all__ = ["Journal"]

LOGS = 3


class Journal:
    """Logs and counters."""

    initial: ClassVar[Mapping[str, str]] = {}
    accounts: ClassVar[Sequence[str]] = ()

    def call(self, name: str, rng: random.Random) -> Wanted:
        """An append or an increment."""
        log, token = f"log/{rng.randrange(LOGS)}", token_of(name)
        if rng.random() < 0.5:
            return Wanted("kv.increment", {"key": f"n/{name}"}, f"n/{name}", "")
        return Wanted("kv.append", {"key": log, "value": token}, log, token)

    def read(self, rng: random.Random) -> Wanted:
        """One of the logs."""
        key = f"log/{rng.randrange(LOGS)}"
        return Wanted("kv.get", {"key": key}, key, None)
