"""A replayed append leaves the offset out. "The log has grown since; where the value stood is of use to nobody who asks
that late, and a record without it is half the size." It looks right, for the call is answered, and ran once.

It breaks rule 2: the copy that came second is told less than the first, and which of them the client hears is chance.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import msgspec

from oncekv.server.engine.storage.staged import Group
from oncerpc.server.dedup.base import Attempt
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.wire.jsonrpc import Reply, success
from tests.bugs.base import Bug, replaced

real_admit = PersistedDedup.admit


def admit(self: PersistedDedup, group: Group, attempt: Attempt, now_ms: int) -> Reply | None:
    """The record, but for the offset."""
    reply = real_admit(self, group, attempt, now_ms)
    if reply is None or reply.failed:
        return reply
    content = msgspec.json.decode(reply.body)
    content.pop("offset", None)
    return success(content)


def plant() -> AbstractContextManager[None]:
    """Less to keep."""
    return replaced(PersistedDedup, admit=admit)


BUG = Bug(
    number=22,
    name="replay-says-less",
    side="server",
    breaks="every attempt gets the first reply, all of it",
    caught_by=(("duplicate-in-flight", "at-most-once"),),
    plant=plant,
)
