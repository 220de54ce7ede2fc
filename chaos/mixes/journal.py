"""The usual mix: appends of a token to one of a few shared logs, increments of a counter of the call's own, reads.

Every effect can be counted where it happened: a token that stands twice, a counter at 2. Offsets, versions and reads
of the shared logs give the checker something to hold on to.
"""

from __future__ import annotations

import random

from chaos.mixes.base import Ask, Wanted, token_of

__all__ = ["Journal"]

LOGS = 3


class Journal:
    """Logs and counters."""

    total = None

    def prepare(self, ask: Ask) -> None:
        """Nothing need be there."""

    def call(self, name: str, rng: random.Random) -> Wanted:
        """An append or an increment."""
        log, token = f"log/{rng.randrange(LOGS)}", token_of(name)
        if rng.random() < 0.5:
            return Wanted("kv.increment", {"key": f"n/{name}"}, "increment", f"n/{name}", 1, "")
        return Wanted("kv.append", {"key": log, "value": token}, "append", log, token, token)

    def read(self, rng: random.Random) -> Wanted:
        """One of the logs."""
        key = f"log/{rng.randrange(LOGS)}"
        return Wanted("kv.get", {"key": key}, "get", key, None, None)
