"""PostgreSQL: the record's row is inserted before its call runs, and a duplicate waits for that row.

`INSERT … ON CONFLICT DO NOTHING` waits while another transaction holds the same key: if that one commits, the row
stands and is the answer; if it rolls back, the row is ours. There is no "in progress" that could be left behind: a
server that dies takes its uncommitted row with it.

The session is looked at only after its row was claimed, in a newer snapshot, so what was acknowledged meanwhile is
seen. Where the engine asks for REPEATABLE READ or SERIALIZABLE the snapshot is the transaction's, so there the calls of
one session take turns: its row is locked first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from oncerpc.server.sql.database import Database, SqlAttempt, StillRunning, Waits
from oncerpc.server.sql.errors import is_busy
from oncerpc.server.sql.tables import Tables
from oncerpc.server.sql.transaction import Transaction

__all__ = ["PostgresDatabase"]

_WAITS = "FROM (SELECT set_config('lock_timeout', ?, true)) AS wait"
_WAITED = "RETURNING set_config('lock_timeout', ?, true)"
_CLAIM_KEY = f"""
INSERT INTO {{key}} (scope, key, fingerprint, attempt, failed, reply, created_ms, expires_ms)
SELECT ?, ?, ?::bytea, ?::bytea, false, NULL, ?::bigint, ?::bigint {_WAITS} ON CONFLICT DO NOTHING {_WAITED}
"""
_CLAIM_RECORD = f"""
INSERT INTO {{record}} (session, seq, fingerprint, attempt, failed, reply)
SELECT number, ?::bigint, ?::bytea, ?::bytea, false, NULL {_WAITS}, {{session}} WHERE name = ?
ON CONFLICT DO NOTHING {_WAITED}
"""
_EXPIRED = "DELETE FROM {key} WHERE scope = ? AND key = ? AND expires_ms <= ?"
_TAKE_TURNS = "SELECT number FROM {session} WHERE name = ? FOR UPDATE"

_REFUSED_AFTER = "20ms"
"""How long a lock is waited for that may be no duplicate's, such as that of a table that grows."""

LOCK_ID = 0x6F6E6365
"""Of the advisory lock under which the tables are made."""


class _Turn:
    """Of the attempts under one identity in this process. `users`: those that run or wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


class PostgresDatabase(Database):
    """A PostgreSQL database."""

    dialect: ClassVar[str] = "postgresql"
    now_ms: ClassVar[str] = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    skip_locked: ClassVar[str] = " FOR UPDATE SKIP LOCKED"

    def __init__(self, engine: Engine, tables: Tables, waits: Waits) -> None:
        super().__init__(engine, tables, waits)
        self._wait_ms = f"{max(1, int(waits.max_s * 1000))}ms"
        self._claim_key, self._claim_record = self.sql(_CLAIM_KEY), self.sql(_CLAIM_RECORD)
        self._expired, self._take_turns = self.sql(_EXPIRED), self.sql(_TAKE_TURNS)
        self._set_wait = self.sql("SELECT set_config('lock_timeout', ?, true)")
        self._running: dict[object, _Turn] = {}
        self._guard = threading.Lock()
        self._has_learnt = False
        self._usual_wait = "0"
        self._takes_turns = False

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            # Whoever has waited must see what the one before has made, so the snapshot must not be older than the wait.
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
            yield connection

    def commits_each_statement(self, connection: Connection) -> bool:
        asked = text("SELECT txid_current()")
        return connection.execute(asked).scalar() != connection.execute(asked).scalar()

    @contextlib.contextmanager
    def _turn(self, attempt: SqlAttempt) -> Iterator[object]:
        """Duplicates in one process wait here, without a connection that others could use."""
        if attempt.key is None and attempt.meta.seq is None:
            yield self
            return
        identity = attempt.key or (attempt.meta.session, attempt.meta.seq)
        with self._guard:
            turn = self._running.setdefault(identity, _Turn())
            turn.users += 1
        try:
            refuses = self.waits.refuse and attempt.may_be_refused
            if not turn.lock.acquire(timeout=0 if refuses else self.waits.max_s):
                raise StillRunning(is_duplicate=True)
            try:
                yield self
            finally:
                turn.lock.release()
        finally:
            with self._guard:
                turn.users -= 1
                if not turn.users:
                    del self._running[identity]

    def claim_key(self, tx: Transaction, row: dict[str, Any], now_ms: int, *, may_be_refused: bool) -> bool:
        self._learn(tx)
        wait_ms = _REFUSED_AFTER if self.waits.refuse and may_be_refused else self._wait_ms
        values = (row["scope"], row["key"], row["fingerprint"], row["attempt"], row["created_ms"], row["expires_ms"])
        claimed = self._claim(tx, self._claim_key, (*values, wait_ms, self._usual_wait))
        if not claimed and self._claim(tx, self._expired, (row["scope"], row["key"], now_ms)):
            claimed = self._claim(tx, self._claim_key, (*values, wait_ms, self._usual_wait))
        return claimed

    def claim_record(self, tx: Transaction, session: str, row: dict[str, Any]) -> bool:
        self._learn(tx)
        if self._takes_turns:
            tx.run(self._set_wait, (self._wait_ms,))
            self._claim(tx, self._take_turns, (session,))
        values = (row["seq"], row["fingerprint"], row["attempt"], self._wait_ms, session, self._usual_wait)
        return self._claim(tx, self._claim_record, values)

    def _claim(self, tx: Transaction, statement: str, values: tuple[Any, ...]) -> bool:
        """Whether the statement has found or changed a row. Raises StillRunning."""
        try:
            return tx.run(statement, values) > 0
        except DBAPIError as error:
            if is_busy(error):
                raise StillRunning(is_duplicate=True) from error
            raise

    def _learn(self, tx: Transaction) -> None:
        """Once: what the engine's connections are set to, which is to hold again while a handler runs."""
        if not self._has_learnt:
            (self._usual_wait,) = tx.rows("SHOW lock_timeout")[0]
            (isolation,) = tx.rows("SHOW transaction_isolation")[0]
            self._takes_turns = isolation in ("repeatable read", "serializable")
            self._has_learnt = True
