"""Bugs of those who trust a disk, for the loops to catch: each replaces one part of the product in a child process."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from oncekv.server.engine.storage import sqlite
from oncekv.server.engine.storage.base import StoreFailed
from oncerpc.client.session.outbox import Outbox, OutboxError
from tests.bugs.base import replaced

__all__ = ["PLANTED", "Planted"]

real_write = sqlite.SqliteStore.write


@dataclass(frozen=True)
class Planted:
    """One bug. what, fault, first, step: the loop that must catch it. breaks: the promise, in words."""

    what: str
    fault: str
    first: int
    step: int
    breaks: str
    plant: Callable[[], AbstractContextManager[object]]


def _taken_for_success(*names: str) -> Callable[[], AbstractContextManager[None]]:
    """A commit that fails so is logged somewhere, and the calls are answered."""

    @contextlib.contextmanager
    def write(self: sqlite.SqliteStore) -> Iterator[Any]:
        try:
            with real_write(self) as view:
                yield view
        except StoreFailed as error:
            if getattr(error.__cause__, "sqlite_errorname", "") not in names:
                raise

    return lambda: replaced(sqlite.SqliteStore, write=write)


def _failure(self: Outbox, error: BaseException) -> OutboxError:
    return OutboxError(f"cannot write {self.path}: {error}")


@contextlib.contextmanager
def _no_log() -> Iterator[None]:
    """A transaction is written straight into the file."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(re.sub(r"(?<=journal_mode = )WAL", "OFF", sql), *parameters)

    with replaced(sqlite3, connect=partial(sqlite3.connect, factory=Connection)):
        yield


PLANTED = {
    "sync-result-ignored": Planted(
        "store", "eio-once", 120, 7, "nobody is told ok before it is durable: a failed sync is the disk's affair",
        _taken_for_success("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_WRITE"),
    ),
    "full-disk-is-success": Planted(
        "store", "enospc-lasting", 60, 8, "nobody is told ok before it is durable: a full disk is an operator's affair",
        _taken_for_success("SQLITE_FULL"),
    ),
    "outbox-half-written": Planted(
        "outbox", "enospc-once", 1, 2, "a call is in the outbox or not: a write into its own file needs no log",
        _no_log,
    ),
    "outbox-error-is-final": Planted(
        "outbox", "eio-once", 94, 1, "a call that was refused is not made later: it could not be synced",
        lambda: replaced(Outbox, _failure=_failure),
    ),
}  # fmt: skip
