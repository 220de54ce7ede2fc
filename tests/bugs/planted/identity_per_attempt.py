"""The client mints a new identity for each attempt. "A request ID is an ID of the request: make it where the request is
made." It looks right, for every request has one, and no two have the same.

It breaks what an identity is for: the server cannot tell a retry from a new call, and a call whose reply was lost runs
once more with each attempt.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from oncerpc.client.api.core import Core
from oncerpc.client.retry.pending_call import PendingCall
from oncerpc.client.retry.retry_loop import RetryLoop
from oncerpc.client.session.session import Session
from oncerpc.client.transport.attempt_result import AttemptResult
from tests.bugs.base import Bug, replaced

real_init, real_send = Core.__init__, RetryLoop._send


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Each attempt but the first takes the session's next seq; the one before is over."""
    sessions: WeakKeyDictionary[RetryLoop, Session] = WeakKeyDictionary()

    def init(self: Core, *components: Any) -> None:
        real_init(self, *components)
        sessions[self._retry_loop] = self.session

    def send(self: RetryLoop, calls: Sequence[PendingCall], *how: Any) -> list[AttemptResult]:
        for call in calls:
            if call.identity is not None and call.attempts and (fresh := sessions[self].begin_now(1)):
                sessions[self].finish([call.identity])
                call.identity = fresh[0]
        return real_send(self, calls, *how)

    with replaced(Core, __init__=init), replaced(RetryLoop, _send=send):
        yield


BUG = Bug(
    number=14,
    name="identity-per-attempt",
    side="client",
    breaks="the identity is the same on every attempt of a call",
    caught_by=(("lost-reply", "at-most-once"),),
    plant=plant,
)
