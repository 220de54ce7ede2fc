"""Application errors are not recorded. "An error changed nothing, so running the call again does no harm; records are
for effects." It looks right, for a call that failed and is sent again fails again.

It breaks rule 2: between two attempts another client changes the key, and the same call that was told version_mismatch,
and whose caller has long acted on that, now succeeds.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.staged import Group
from oncerpc.server.dedup.base import Attempt
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import Bug, replaced

real_record_reply = PersistedDedup.record_reply


def record_reply(self: PersistedDedup, group: Group, attempt: Attempt, reply: Reply, now_ms: int) -> None:
    """Only what changed something is worth a record."""
    if not reply.failed:
        real_record_reply(self, group, attempt, reply, now_ms)


def plant() -> AbstractContextManager[None]:
    """Errors leave no trace."""
    return replaced(PersistedDedup, record_reply=record_reply)


BUG = Bug(
    number=11,
    name="errors-not-recorded",
    side="server",
    breaks="every attempt gets the first reply, recorded errors included",
    caught_by=(("healthy", "at-most-once"),),
    plant=plant,
)
