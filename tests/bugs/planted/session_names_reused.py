"""Session names are given out again after a restart. "s1, s2, s3: short names that one can read in a log." It looks
right, for no two sessions of one server's life have the same name.

It breaks rules 5 and 7: the counter starts again with the process, the sessions in the store do not, and a new client
finds itself in an old one's session, among its records.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count

from oncekv.server.config import Config
from oncekv.server.engine.storage.base import Session
from oncekv.server.engine.storage.staged import Group
from oncerpc.server.sessions import Sessions
from tests.bugs.base import Bug, replaced

real_init = Sessions.__init__


def init(self: Sessions, config: Config, new_name: Callable[[], str]) -> None:
    """Names are counted."""
    numbers = count(1)
    real_init(self, config, lambda: f"s{next(numbers)}")


def open_session(self: Sessions, group: Group, lease_ms: int | None, now_ms: int) -> Session:
    """INSERT OR IGNORE: the store has refused a name that it has, and that was a nuisance."""
    name, lease_ms = self._new_name(), lease_ms or self._config.lease_ms
    return group.session(name) or group.open_session(name, lease_ms, now_ms + lease_ms)


def plant() -> AbstractContextManager[None]:
    """A counter instead of 128 random bits."""
    return replaced(Sessions, __init__=init, open=open_session)


BUG = Bug(
    number=9,
    name="session-names-reused",
    side="server",
    breaks="session names are never given out twice",
    caught_by=(("crash-after-commit", "exactly-once"),),
    plant=plant,
)
