"""What a view wrote before its 4xx is committed with the record. "One path for all replies: commit, then answer." It
looks right, for most views say no before they write anything.

It breaks the rule that a refusal has no effect: the caller is told 409 and the money is on the account.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oncerpc.server.sql.database import Database
from oncerpc.server.sql.sqlite import SqliteDatabase
from oncerpc.server.sql.transaction import Transaction
from tests.bugs.base import Bug, replaced


def unwind(self: Database, tx: Transaction) -> None:
    """Whatever the reply says, what was written stays."""


@contextlib.contextmanager
def plant() -> Iterator[None]:
    """No way back to the mark behind the claim, on either database."""
    with replaced(Database, unwind=unwind), replaced(SqliteDatabase, unwind=unwind):
        yield


BUG = Bug(
    number=26,
    name="library-refusal-kept",
    side="library",
    breaks="a refusal has no effect: what was written before a 4xx is rolled back",
    caught_by=(("healthy", "idempotency-key"),),
    plant=plant,
)
