"""Dedup in memory. "A dictionary of what ran is a thousand times faster than a table, and retries come within seconds."
It looks right, and passes every test in which nothing restarts.

It breaks rule 1 across restarts: the crash that loses the reply loses the dictionary too, and the retry runs again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncerpc.server.dedup import memory, persisted
from tests.bugs.base import Bug, replaced


def plant() -> AbstractContextManager[None]:
    """What calls itself persisted is the naive control."""
    return replaced(persisted, make=memory.make)


BUG = Bug(
    number=2,
    name="dedup-in-memory",
    side="server",
    breaks="an identity's effect happens at most once, across restarts",
    caught_by=(("crash-after-commit", "at-most-once"),),
    plant=plant,
)
