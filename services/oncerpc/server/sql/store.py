"""Reads of a database that keeps records, as dispatch asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from oncerpc.server.records import Counters
from oncerpc.server.sql.database import Database
from oncerpc.server.sql.records import SqlSession, SqlStatements, read_clock, read_session
from oncerpc.server.sql.transaction import Transaction

__all__ = ["SqlReader", "SqlStore"]


class SqlReader:
    """What is committed. `tx` is for a read's handler; whatever it writes is rolled back."""

    def __init__(self, tx: Transaction, statements: SqlStatements) -> None:
        self.tx = tx
        self._sql = statements

    def sessions(self, names: Sequence[str]) -> Sequence[SqlSession]:
        """Those of these names that are open."""
        return [found for name in names if (found := read_session(self.tx, self._sql, name)) is not None]

    def counters(self) -> Counters:
        """Counted by the database."""
        ((sessions, records),) = self.tx.rows(self._sql.count)
        return Counters(read_clock(self.tx, self._sql), 0, int(sessions), int(records))


class SqlStore:
    """The database, for who reads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = SqlStatements(database)
        self.name = database.dialect

    @contextlib.contextmanager
    def read(self) -> Iterator[SqlReader]:
        """Raises StoreRefused when the database is not there."""
        with self._database.reading():
            tx = self._database.connect()
            try:
                with tx.handed_out():
                    yield SqlReader(tx, self._statements)
            finally:
                tx.undo()
