"""No dedup. "HTTP runs over TCP, and TCP delivers each request once; the session tells us who is calling, and more
nobody needs." It looks right, for in every test without a lost reply each request does come once.

It breaks rule 1: the retry after a lost reply is a second request to TCP, and the call runs twice.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.staged import Group
from oncerpc.server.dedup.base import Attempt
from oncerpc.server.dedup.persisted import PersistedDedup
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import Bug, replaced


def admit(self: PersistedDedup, group: Group, attempt: Attempt, now_ms: int) -> None:
    """Whoever has a session may run."""
    if attempt.key is None and attempt.meta.session is not None:
        self._renew_and_acknowledge(group, attempt.meta, attempt.meta.session, now_ms)


def record_reply(self: PersistedDedup, group: Group, attempt: Attempt, reply: Reply, now_ms: int) -> None:
    """Nothing is remembered."""


def plant() -> AbstractContextManager[None]:
    """The gate asks for the session and for nothing else."""
    return replaced(PersistedDedup, admit=admit, record_reply=record_reply)


BUG = Bug(
    number=1,
    name="no-dedup",
    side="server",
    breaks="an identity's effect happens at most once",
    caught_by=(("lost-reply", "at-most-once"),),
    plant=plant,
)
