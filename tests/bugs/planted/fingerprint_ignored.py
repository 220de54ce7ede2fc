"""The fingerprint is ignored. "Whoever sends the same identity means the same call; why hash every payload?" It looks
right, for a correct client never sends another payload under it.

It breaks rule 4: a client that went back to an old backup of its outbox gives an identity out again, and its new call
is answered with another call's reply and never runs, although the client is told ok.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.base import KeyedRecord, Record
from oncerpc.server.dedup import persisted
from oncerpc.server.dedup.base import Attempt
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import Bug, replaced


def find_duplicate(record: Record | KeyedRecord | None, attempt: Attempt) -> Reply | None:
    """The identity says it all."""
    return None if record is None else record.reply


def plant() -> AbstractContextManager[None]:
    """A record answers whatever comes under its identity."""
    return replaced(persisted, find_duplicate=find_duplicate)


BUG = Bug(
    number=10,
    name="fingerprint-ignored",
    side="server",
    breaks="the same identity with another payload is refused",
    caught_by=(("healthy", "at-most-once"),),
    plant=plant,
)
