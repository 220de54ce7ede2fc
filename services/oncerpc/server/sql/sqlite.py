"""SQLite: one writer at a time, so an attempt takes the write lock first, and a duplicate waits for that lock.

Within a process the attempts queue for their turn before they take a connection: SQLite's own waiting sleeps, and would
let the late overtake the early. Here it is known, too, whether the one that runs is a duplicate; of another process the
lock does not tell.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from oncerpc.server.records import StoreRefused
from oncerpc.server.sql.database import MARK, Database, SqlAttempt, StillRunning, Waits
from oncerpc.server.sql.errors import is_busy
from oncerpc.server.sql.tables import Tables
from oncerpc.server.sql.transaction import Transaction, TransactionEnded
from oncerpc.wire.jsonrpc import Reply

__all__ = ["SqliteDatabase"]

_BUSY_TIMEOUT = "oncerpc busy_timeout"

_EXPIRED = "DELETE FROM {key} WHERE scope = ? AND key = ? AND expires_ms <= ?"
_PUT_KEY = """
INSERT INTO {key} (scope, key, fingerprint, attempt, failed, reply, created_ms, expires_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_PUT_RECORD = "INSERT INTO {record} (session, seq, fingerprint, attempt, failed, reply) VALUES (?, ?, ?, ?, ?, ?)"
_FIND_KEY = "SELECT 1 FROM {key} WHERE scope = ? AND key = ?"
_FIND_RECORD = "SELECT 1 FROM {record} JOIN {session} ON number = session WHERE name = ? AND seq = ?"


class SqliteDatabase(Database):
    """A SQLite file, or one in memory."""

    dialect: ClassVar[str] = "sqlite"
    claims_by_row: ClassVar[bool] = False
    now_ms: ClassVar[str] = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"

    def __init__(self, engine: Engine, tables: Tables, waits: Waits) -> None:
        super().__init__(engine, tables, waits)
        self._expired = self.sql(_EXPIRED)
        self._find_key, self._find_record = self.sql(_FIND_KEY), self.sql(_FIND_RECORD)
        self._put_key, self._put_record = self.sql(_PUT_KEY), self.sql(_PUT_RECORD)
        self._turns = threading.Lock()
        self._running: Counter[object] = Counter()
        self._guard = threading.Lock()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        tx = self.connect()
        try:
            self._take_lock(tx, self.waits.max_s)
            yield tx
            tx.finish()
        finally:
            tx.undo()

    @contextlib.contextmanager
    def _turn(self, attempt: SqlAttempt) -> Iterator[object]:
        identity = attempt.key or (attempt.meta.session, attempt.meta.seq)
        has_identity = attempt.key is not None or attempt.meta.seq is not None
        with self._guard:
            is_duplicate = has_identity and self._running[identity] > 0
            if is_duplicate and self.waits.refuse and attempt.may_be_refused:
                raise StillRunning(is_duplicate=True)
            self._running[identity] += 1
        try:
            with self._alone(is_duplicate=is_duplicate):
                yield self
        finally:
            with self._guard:
                self._running[identity] -= 1
                if not self._running[identity]:
                    del self._running[identity]

    @contextlib.contextmanager
    def _alone(self, *, is_duplicate: bool) -> Iterator[None]:
        if not self._turns.acquire(timeout=self.waits.max_s):
            raise StillRunning(is_duplicate=is_duplicate)
        try:
            yield
        finally:
            self._turns.release()

    def commits_each_statement(self, connection: Connection) -> bool:
        driver = connection.connection.dbapi_connection
        return getattr(driver, "autocommit", None) is True

    def _begin(self, tx: Transaction) -> None:
        self._take_lock(tx, self.waits.max_s)

    def verify(self, tx: Transaction) -> None:
        """SQLite may have ended it (ON CONFLICT ROLLBACK), the driver, or another user of a pool's one connection.

        The mark is there only as long as the transaction is.
        """
        self._find_mark(lambda: tx.run(f"RELEASE SAVEPOINT {MARK}", ()))

    def unwind(self, tx: Transaction) -> None:
        self._find_mark(lambda: super(SqliteDatabase, self).unwind(tx))

    def _find_mark(self, ask: Callable[[], object]) -> None:
        try:
            ask()
        except DBAPIError as error:
            raise TransactionEnded(
                "what SQLite or its driver was told, or another use of its one connection,"
            ) from error

    def reading(self) -> contextlib.AbstractContextManager[object]:
        return self._sharing() if isinstance(self.engine.pool, StaticPool) else contextlib.nullcontext()

    @contextlib.contextmanager
    def _sharing(self) -> Iterator[None]:
        """A pool with one connection for all: whoever gives it back would roll back what another one does on it."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._alone(is_duplicate=False))
            except StillRunning as error:
                raise StoreRefused(str(error)) from error
            yield

    def _take_lock(self, tx: Transaction, wait_s: float) -> None:
        """BEGIN IMMEDIATE, whatever the engine's own way to begin is. Raises StillRunning."""
        driver = tx.connection.dbapi_connection
        assert driver is not None
        cursor = driver.cursor()
        if driver.in_transaction:  # by the engine's own "begin" event, or by sqlite3 with autocommit=False
            cursor.execute("ROLLBACK")
        usual_ms = self._busy_timeout(tx.connection.info, cursor)
        wait_ms = max(1, int(wait_s * 1000))
        try:
            if usual_ms > wait_ms:  # SQLite itself would wait for longer
                cursor.execute(f"PRAGMA busy_timeout = {wait_ms}")
            _begin_immediate(cursor, wait_s)
        except driver_errors(tx) as error:
            if getattr(driver, "autocommit", None) is False:
                cursor.execute("BEGIN")  # which is how sqlite3 wants to find it then
            if is_busy(error):
                raise StillRunning(is_duplicate=True) from error
            raise DBAPIError.instance("BEGIN IMMEDIATE", (), error, Exception, dialect=tx.dialect) from error
        finally:
            if usual_ms > wait_ms:
                cursor.execute(f"PRAGMA busy_timeout = {usual_ms}")
            cursor.close()

    @staticmethod
    def _busy_timeout(facts: MutableMapping[str, Any], cursor: Any) -> int:
        """How long this connection waits for a lock by itself; asked once, for each question costs a turn of Python's
        lock.
        """
        if _BUSY_TIMEOUT not in facts:
            facts[_BUSY_TIMEOUT] = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        return int(facts[_BUSY_TIMEOUT])

    def claim_key(self, tx: Transaction, row: dict[str, Any], now_ms: int, *, may_be_refused: bool) -> bool:  # noqa: ARG002 as all databases
        """Nothing to put there: whoever has the write lock is alone."""
        found = tx.row(self._find_key, (row["scope"], row["key"]))
        return found is None or tx.run(self._expired, (row["scope"], row["key"], now_ms)) > 0

    def claim_record(self, tx: Transaction, session: str, row: dict[str, Any]) -> bool:
        return tx.row(self._find_record, (session, row["seq"])) is None

    def put_key(self, tx: Transaction, row: dict[str, Any], reply: Reply) -> None:
        whose = (row["scope"], row["key"], row["fingerprint"], row["attempt"])
        self._put(tx, self._put_key, (*whose, reply.failed, reply.body, row["created_ms"], row["expires_ms"]))

    def put_record(self, tx: Transaction, session: int, row: dict[str, Any], reply: Reply) -> None:
        whose = (session, row["seq"], row["fingerprint"], row["attempt"])
        self._put(tx, self._put_record, (*whose, reply.failed, reply.body))


def driver_errors(tx: Transaction) -> type[Exception]:
    """What the driver raises."""
    found: type[Exception] = tx.dialect.loaded_dbapi.Error
    return found


def _begin_immediate(cursor: Any, wait_s: float) -> None:
    """SQLite gives up at once where waiting might deadlock; with nothing begun it may simply be asked again."""
    until_s = time.monotonic() + wait_s
    while True:
        try:
            cursor.execute("BEGIN IMMEDIATE")
            return
        except Exception as error:
            if not is_busy(error) or time.monotonic() >= until_s:
                raise
            time.sleep(0.005)
