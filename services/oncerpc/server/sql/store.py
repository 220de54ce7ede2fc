"""Reads of a database that keeps records, as dispatch asks for them."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from oncerpc.server.records import Counters, StoreRefused
from oncerpc.server.sql.bounded_retry import CONFLICTS_MAX
from oncerpc.server.sql.database import Database
from oncerpc.server.sql.errors import one_line
from oncerpc.server.sql.records import SqlSession, SqlStatements, read_session
from oncerpc.server.sql.transaction import Transaction

__all__ = ["SqlReader", "SqlStore"]

T = TypeVar("T")


class SqlReader:
    """What is committed; whatever is written by the way is rolled back."""

    def __init__(self, database: Database, statements: SqlStatements) -> None:
        self._database = database
        self._sql = statements
        self.tx = database.connect()

    def close(self) -> None:
        """Give the connection back."""
        self.tx.undo()

    def run(self, read: Callable[[Transaction], T]) -> T:
        """A read changes nothing, so it runs again where the database gave it up, or its connection was stale.

        Raises StoreRefused where the database is away, and whatever `read` raised.
        """
        stale = 0
        for left in reversed(range(CONFLICTS_MAX)):
            try:
                with self.tx.handed_out():
                    return read(self.tx)
            except Exception as error:
                stale += self.tx.invalidated
                if stale > 1:
                    raise StoreRefused(one_line(error)) from error
                if not left or not (self.tx.invalidated or self.tx.conflict):
                    raise
                if not stale:
                    time.sleep(random.uniform(0, 0.01))
            self.tx.undo()
            self.tx = self._database.connect()
        raise AssertionError("the last one raised")

    def sessions(self, names: Sequence[str]) -> Sequence[SqlSession]:
        """Those of these names that are open."""
        found = self.run(lambda tx: [read_session(tx, self._sql, name) for name in names])
        return [session for session in found if session is not None]

    def counters(self) -> Counters:
        """Counted by the database."""
        ((sessions, records),) = self.run(lambda tx: tx.rows(self._sql.count))
        ((clock_ms, *_),) = self.run(lambda tx: tx.rows(self._sql.clock))
        return Counters(int(clock_ms), 0, int(sessions), int(records))


class SqlStore:
    """The database, for who reads."""

    def __init__(self, database: Database, statements: SqlStatements) -> None:
        self._database = database
        self._statements = statements
        self.name = database.dialect

    @contextlib.contextmanager
    def read(self) -> Iterator[SqlReader]:
        """Raises StoreRefused when the database is not there."""
        with self._database.reading():
            reader = SqlReader(self._database, self._statements)
            try:
                yield reader
            finally:
                reader.close()
