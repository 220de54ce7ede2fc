"""A database that keeps records: how a transaction begins there, and how a duplicate waits for the one that runs.

Two files say it, one for each kind: `postgresql` (the record's row is there first, and a duplicate waits for it) and
`sqlite` (one writer at a time). What is the same in both is here.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from oncerpc.server.dedup.base import Attempt
from oncerpc.server.records import StoreRefused
from oncerpc.server.sql.errors import one_line
from oncerpc.server.sql.tables import Tables
from oncerpc.server.sql.transaction import Transaction, TransactionEnded
from oncerpc.wire.jsonrpc import Reply

__all__ = ["MARK", "Database", "SqlAttempt", "StatementsForgotten", "StillRunning", "Waits"]


MARK = "oncerpc_attempt"


class SqlAttempt(Attempt, Protocol):
    """An attempt, and whether it may be refused as a duplicate of one that still runs; if not, it waits."""

    @property
    def may_be_refused(self) -> bool: ...


class StillRunning(Exception):
    """Another transaction was in the way for longer than an attempt waits. Nothing of this one has run.

    `is_duplicate`: it runs the same identity, as far as can be told.
    """

    def __init__(self, *, is_duplicate: bool) -> None:
        super().__init__("another transaction is in the way")
        self.is_duplicate = is_duplicate


class StatementsForgotten(Exception):
    """The connection no longer has what was prepared on it: nothing was committed, and the attempt runs again."""


@dataclass(frozen=True)
class Waits:
    """How long an attempt waits for another transaction. `refuse`: a duplicate that may be refused does not wait."""

    max_s: float = 30.0
    refuse: bool = False


class Database(ABC):
    """One database under one prefix. Safe for threads."""

    dialect: ClassVar[str]
    now_ms: ClassVar[str]
    """What time it is there, in SQL."""
    claims_by_row: ClassVar[bool]
    """Whether a claim is a row in the table, which a refused attempt has to take back."""
    skip_locked: ClassVar[str] = ""
    """Behind a SELECT of what is to be deleted: leave out what a running transaction holds."""

    def __init__(self, engine: Engine, tables: Tables, waits: Waits) -> None:
        self.engine = engine
        self.tables = tables
        self.waits = waits
        self._mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"

    def sql(self, statement: str) -> str:
        """A statement in the driver's paramstyle, with the names of the tables."""
        tables = self.tables
        named = {"meta": tables.meta, "session": tables.session, "record": tables.record, "key": tables.key}
        quote = self.engine.dialect.identifier_preparer.quote
        return statement.format(**{short: quote(table.name) for short, table in named.items()}).replace("?", self._mark)

    @abstractmethod
    def commits_each_statement(self, connection: Connection) -> bool:
        """Whether the driver does, so that there is no transaction in which two things are one."""

    @abstractmethod
    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """A transaction in which nobody else makes tables."""

    @contextlib.contextmanager
    def attempt(self, attempt: SqlAttempt) -> Iterator[Transaction]:
        """A transaction for one attempt, rolled back unless it was finished.

        Raises StoreRefused where the database cannot be reached, and StillRunning.
        """
        with self._turn(attempt):
            tx = self.connect()
            try:
                self._begin(tx)
                yield tx
            finally:
                tx.undo()

    def connect(self) -> Transaction:
        """A connection in a transaction that has not done anything yet. Raises StoreRefused."""
        try:
            tx = Transaction(self.engine)
            tx.begin()
            return tx
        except (DBAPIError, PoolTimeout) as error:
            raise StoreRefused(one_line(error)) from error

    def mark(self, tx: Transaction) -> None:
        """The handler is about to write; its identity, if it has one, was claimed before.

        Where nothing else was asked yet, this is what finds out that a pooled connection is stale.
        """
        if not tx.has_mark:
            tx.run(f"SAVEPOINT {MARK}", ())
            tx.has_mark = True

    def verify(self, tx: Transaction) -> None:  # noqa: B027 not every kind has something to do here
        """That all since the mark was in the one transaction that began. Raises TransactionEnded."""

    def unwind(self, tx: Transaction) -> None:
        """Undo what was written since the mark; the claim stays, so that no duplicate comes in between."""
        tx.has_prepared = False  # drivers forget what is prepared at a rollback
        tx.run(f"ROLLBACK TO SAVEPOINT {MARK}", ())

    def reading(self) -> contextlib.AbstractContextManager[object]:
        """Around a read that belongs to no attempt."""
        return contextlib.nullcontext()

    def _turn(self, attempt: SqlAttempt) -> contextlib.AbstractContextManager[object]:  # noqa: ARG002 for those who need it
        """Waits in this process before a connection is taken. Raises StillRunning."""
        return contextlib.nullcontext()

    def _begin(self, tx: Transaction) -> None:  # noqa: B027 not every kind has something to do here
        """Begin to write. Raises StillRunning."""

    @abstractmethod
    def claim_key(self, tx: Transaction, row: dict[str, Any], now_ms: int, *, may_be_refused: bool) -> bool:
        """Put this row of an Idempotency-Key there, without a reply, so that duplicates wait; False where one stands.

        One that has expired gives way. Raises StillRunning.
        """

    @abstractmethod
    def claim_record(self, tx: Transaction, session: str, row: dict[str, Any]) -> bool:
        """The same for a session's record; False too where there is no such session."""

    @abstractmethod
    def put_key(self, tx: Transaction, row: dict[str, Any], reply: Reply) -> None:
        """Add the reply to the row that was claimed, at the latest when `tx` is finished. Raises TransactionEnded where
        a handler has ended the transaction by the driver.
        """

    @abstractmethod
    def put_record(self, tx: Transaction, session: int, row: dict[str, Any], reply: Reply) -> None:
        """The same for a session's record."""

    def _put(self, tx: Transaction, statement: str, values: tuple[Any, ...]) -> None:
        if tx.run(statement, values) != 1:
            raise TransactionEnded("what the driver was told")
