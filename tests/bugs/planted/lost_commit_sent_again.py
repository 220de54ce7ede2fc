"""A lost commit is sent again on a new connection. "The connection broke, so connect again and run the transaction once
more; every pool does that." It looks right, for most connections break while nothing is under way.

It breaks what is said of a call that was sent once: the first transaction was committed, and the call, which has no
identity by which that could be known, has two effects.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.base import StoreConflict
from oncekv.server.engine.storage.postgresql import PostgresqlStore
from oncekv.server.engine.storage.postgresql_group import Mark, Marks
from tests.bugs.base import Bug, replaced


def look_up(self: PostgresqlStore, mark: Mark, marks: Marks, reason: str) -> None:
    """The group begins again, as after a deadlock."""
    self._drop_writer()
    raise StoreConflict(reason)


def plant() -> AbstractContextManager[None]:
    """A broken connection is one more conflict."""
    return replaced(PostgresqlStore, _look_up=look_up)


BUG = Bug(
    number=32,
    name="lost-commit-sent-again",
    side="server",
    breaks="what was sent once takes effect at most once",
    caught_by=(("store-reply-lost", "maybe"),),
    plant=plant,
    store="postgres",
)
