"""The ops of a transaction are committed one by one. "One large transaction keeps every reader's view old and the
write-ahead log long; small ones, one after the other, give the same rows." It looks right, for all are there in the
end.

It breaks all or nothing: a reader, and after a crash everybody, finds the money gone from one account and not arrived
in the other.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from oncekv.server.engine.storage.base import Changes
from oncekv.server.engine.storage.sqlite_queries import SqliteView
from tests.bugs.base import Bug, replaced

real_apply = SqliteView.apply


def apply(self: SqliteView, changes: Changes) -> None:
    """Each row in a transaction of its own; the records, with the effects done, in the last."""
    for key, row in changes.rows.items():
        real_apply(self, Changes(rows={key: row}))
        self._execute("COMMIT")
        self._execute("BEGIN IMMEDIATE")
    real_apply(self, replace(changes, rows={}))


def plant() -> AbstractContextManager[None]:
    """A commit behind each row."""
    return replaced(SqliteView, apply=apply)


BUG = Bug(
    number=21,
    name="torn-txn",
    side="server",
    breaks="kv.txn does all of its ops or none",
    caught_by=(("bank", "at-most-once"),),
    plant=plant,
)
