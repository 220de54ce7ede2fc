"""Records are dropped when `seq` moves on. "A client counts its calls up, so whoever sends 7 has done with 6: one
record a session is enough." It looks right, for a client that makes one call after the other never notices.

It breaks rule 1: two threads share a session, the reply to 6 is lost, 7 is done, and the retry of 6 finds no record.
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
    """Remember this call, and forget those before it."""
    real_record_reply(self, group, attempt, reply, now_ms)
    session = group.session(attempt.meta.session) if attempt.meta.session is not None else None
    if session is not None and attempt.meta.seq is not None:
        group._records -= session.slots.forget(session.acked, attempt.meta.seq - 1)
        group._acknowledged[session.number] = session


def plant() -> AbstractContextManager[None]:
    """The latest record of a session is the only one."""
    return replaced(PersistedDedup, record_reply=record_reply)


BUG = Bug(
    number=5,
    name="records-dropped-by-seq",
    side="server",
    breaks="a record is kept until its reply was acknowledged",
    caught_by=(("lost-reply", "at-most-once"),),
    plant=plant,
)
