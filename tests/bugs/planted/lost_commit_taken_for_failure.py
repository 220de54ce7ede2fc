"""A lost commit is taken for a failure. "The driver raised at COMMIT, so the transaction was not committed: tell the
caller that nothing happened, it may try again." It looks right, for a transaction that raises has always been rolled
back.

It breaks the promise of a definite failure: the database had committed, and only its answer was lost.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncekv.server.engine.storage.base import StoreRefused
from oncekv.server.engine.storage.postgresql import PostgresqlStore
from oncekv.server.engine.storage.postgresql_group import Mark, Marks
from tests.bugs.base import Bug, replaced


def look_up(self: PostgresqlStore, mark: Mark, marks: Marks, reason: str) -> None:
    """Nobody looks."""
    self._drop_writer()
    raise StoreRefused(reason)


def plant() -> AbstractContextManager[None]:
    """What raises has failed."""
    return replaced(PostgresqlStore, _look_up=look_up)


BUG = Bug(
    number=31,
    name="lost-commit-taken-for-failure",
    side="server",
    breaks="a definite failure means that there is no effect",
    caught_by=(("store-reply-lost", "maybe"),),
    plant=plant,
    store="postgres",
)
