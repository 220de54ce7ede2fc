"""Application errors are recorded, but in memory. "What changed something is recorded with it, in its transaction. What
changed nothing is not worth a write to the disk; a dictionary will do for its retries." It looks right, for they come
within seconds.

It breaks rule 2 across restarts: the dictionary is gone, meanwhile the condition holds, and the same call that was told
version_mismatch now succeeds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oncekv.server.engine.storage.staged import Group
from oncerpc.server.dedup.base import Attempt
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import Bug, replaced

real_admit = PersistedDedup.admit
real_record_reply = PersistedDedup.record_reply


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Errors leave a trace in this process alone."""
    errors: dict[bytes, Reply] = {}

    def admit(self: PersistedDedup, group: Group, attempt: Attempt, now_ms: int) -> Reply | None:
        return real_admit(self, group, attempt, now_ms) or errors.get(_identity(attempt))

    def record_reply(self: PersistedDedup, group: Group, attempt: Attempt, reply: Reply, now_ms: int) -> None:
        if reply.failed:
            errors[_identity(attempt)] = reply
        else:
            real_record_reply(self, group, attempt, reply, now_ms)

    with replaced(PersistedDedup, admit=admit, record_reply=record_reply):
        yield


def _identity(attempt: Attempt) -> bytes:
    return f"{attempt.meta.session} {attempt.meta.seq} {attempt.key}".encode() + attempt.fingerprint


BUG = Bug(
    number=19,
    name="errors-in-memory",
    side="server",
    breaks="every attempt gets the first reply, recorded errors included, across restarts",
    caught_by=(("restart-keeps", "at-most-once"),),
    plant=plant,
)
