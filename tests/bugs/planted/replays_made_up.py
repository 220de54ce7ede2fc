"""The reply to an acknowledged increment is made up. "The client said that it has the reply, so nobody waits for what
a copy of that request is told; an error would only fill the logs. It was counted: say so." It looks right, for nothing
runs.

It breaks rule 2: the server answers what it does not know. Whoever does wait is told a result that was never that of
the call, and it bears the mark of a replay.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.staged import Group
from oncerpc.server.dedup.base import Attempt
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.wire.errors import StaleCall
from oncerpc.wire.jsonrpc import Reply, success
from tests.bugs.base import Bug, replaced

real_admit = PersistedDedup.admit


def admit(self: PersistedDedup, group: Group, attempt: Attempt, now_ms: int) -> Reply | None:
    """Increments are never stale."""
    try:
        return real_admit(self, group, attempt, now_ms)
    except StaleCall:
        if attempt.method.name != "kv.increment":  # type: ignore[attr-defined] # it is the committer's Call
            raise
        return success({"value": 0, "version": 0})


def plant() -> AbstractContextManager[None]:
    """A polite answer."""
    return replaced(PersistedDedup, admit=admit)


BUG = Bug(
    number=17,
    name="replays-made-up",
    side="server",
    breaks="what was acknowledged is refused as stale; a replay is the first reply",
    caught_by=(("late-after-ack", "at-most-once"),),
    plant=plant,
)
