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

from oncekv.client.caller import Caller
from oncekv.client.core import Core
from oncekv.client.ending import Ending
from oncekv.client.session import Session
from oncekv.client.trip import Trip
from tests.bugs.base import Bug, replaced

real_init, real_send = Core.__init__, Caller._send


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """Each attempt but the first takes the session's next seq; the one before is over."""
    sessions: WeakKeyDictionary[Caller, Session] = WeakKeyDictionary()

    def init(self: Core, *parts: Any) -> None:
        real_init(self, *parts)
        sessions[self._caller] = self.session

    def send(self: Caller, trips: Sequence[Trip], *how: Any) -> list[Ending]:
        for trip in trips:
            if trip.identity is not None and trip.attempts and (fresh := sessions[self].begin_now(1)):
                sessions[self].finish([trip.identity])
                trip.identity = fresh[0]
        return real_send(self, trips, *how)

    with replaced(Core, __init__=init), replaced(Caller, _send=send):
        yield


BUG = Bug(
    number=14,
    name="identity-per-attempt",
    side="client",
    breaks="the identity is the same on every attempt of a call",
    caught_by=(("lost-reply", "at-most-once"),),
    plant=plant,
)
