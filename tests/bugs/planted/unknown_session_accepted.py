"""An unknown session is accepted. "After an expired lease the client gets an error that it can do nothing about; make
the session again under the name that it asks for, and it goes on." It looks right, for what was a nuisance works.

It breaks rule 5: the records went with the session, so the retry of a call that ran under it is a new call to the new
session, and runs again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.staged import Group
from oncerpc.server.records import Session
from oncerpc.server.sessions import Sessions
from tests.bugs.base import Bug, replaced

real_live = Sessions.live


def live(self: Sessions, group: Group, name: str, now_ms: int) -> Session:
    """The session of that name, made if there is none."""
    session = group.session(name)
    if session is not None and session.expires_ms > now_ms:
        return real_live(self, group, name, now_ms)
    if session is not None:
        group.end_session(session)
    return group.open_session(name, self._config.lease_ms, now_ms + self._config.lease_ms)


def plant() -> AbstractContextManager[None]:
    """Nobody is refused for the session's sake."""
    return replaced(Sessions, live=live)


BUG = Bug(
    number=8,
    name="unknown-session-accepted",
    side="server",
    breaks="an unknown, expired or closed session is refused, and nothing runs",
    caught_by=(("session-expiry", "at-most-once"),),
    plant=plant,
)
