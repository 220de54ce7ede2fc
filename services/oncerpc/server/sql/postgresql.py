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
import functools
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from oncerpc.server.sql.database import MARK, Database, SqlAttempt, StillRunning, Waits
from oncerpc.server.sql.errors import is_busy
from oncerpc.server.sql.postgresql_one_trip import OURS, OneTrip, watch
from oncerpc.server.sql.tables import Tables
from oncerpc.server.sql.transaction import Transaction
from oncerpc.wire.jsonrpc import Reply

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
_PUT_KEY = f"UPDATE {{key}} SET failed = ?, reply = ? WHERE scope = ? AND key = ? AND {OURS}"  # noqa: S608
_PUT_RECORD = f"UPDATE {{record}} SET failed = ?, reply = ? WHERE session = ? AND seq = ? AND {OURS}"  # noqa: S608
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
    claims_by_row: ClassVar[bool] = True
    now_ms: ClassVar[str] = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    skip_locked: ClassVar[str] = " FOR UPDATE SKIP LOCKED"

    def __init__(self, engine: Engine, tables: Tables, waits: Waits) -> None:
        super().__init__(engine, tables, waits)
        self._wait_ms = f"{max(1, int(waits.max_s * 1000))}ms"
        self._claim_key, self._claim_record = self.sql(_CLAIM_KEY), self.sql(_CLAIM_RECORD)
        self._expired, self._take_turns = self.sql(_EXPIRED), self.sql(_TAKE_TURNS)
        self._put_key, self._put_record = self.sql(_PUT_KEY), self.sql(_PUT_RECORD)
        self._one_trip: OneTrip | None = None
        if engine.dialect.driver == "psycopg":
            watch(engine)
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
        claimed = self._claim_in_one_trip(tx, "claim_key", values, row["attempt"], wait_ms)
        if claimed is None:
            claimed = self._claim(tx, self._claim_key, (*values, wait_ms, self._usual_wait))
        if not claimed and self._claim(tx, self._expired, (row["scope"], row["key"], now_ms)):
            if tx.has_mark:  # behind it the row would go with the handler's writes, and be a subtransaction's
                tx.run(f"RELEASE SAVEPOINT {MARK}", ())
                tx.has_mark = False
            claimed = self._claim(tx, self._claim_key, (*values, wait_ms, self._usual_wait))
        return claimed

    def claim_record(self, tx: Transaction, session: str, row: dict[str, Any]) -> bool:
        self._learn(tx)
        if self._takes_turns:
            tx.run(self._set_wait, (self._wait_ms,))
            self._claim(tx, self._take_turns, (session,))
        values = (row["seq"], row["fingerprint"], row["attempt"])
        claimed = self._claim_in_one_trip(tx, "claim_record", (*values, session), row["attempt"], self._wait_ms)
        if claimed is None:
            claimed = self._claim(tx, self._claim_record, (*values, self._wait_ms, session, self._usual_wait))
        return claimed

    def put_key(self, tx: Transaction, row: dict[str, Any], reply: Reply) -> None:
        self._put_late(tx, "put_key", self._put_key, (reply.failed, reply.body, row["scope"], row["key"]))

    def put_record(self, tx: Transaction, session: int, row: dict[str, Any], reply: Reply) -> None:
        self._put_late(tx, "put_record", self._put_record, (reply.failed, reply.body, session, row["seq"]))

    def _put_late(self, tx: Transaction, short: str, statement: str, values: tuple[Any, ...]) -> None:
        one_trip = self._one_trip
        if one_trip is not None and tx.has_prepared and one_trip.fits(tx):
            tx.at_commit = functools.partial(one_trip.put_and_commit, tx, short, values)
        else:
            self._put(tx, statement, values)

    def _claim_in_one_trip(
        self, tx: Transaction, short: str, values: Sequence[Any], token: bytes, wait: str
    ) -> bool | None:
        """Whether it was claimed; None where this connection takes one statement at a time. Raises StillRunning."""
        one_trip = self._one_trip
        if one_trip is None or self._takes_turns or not one_trip.fits(tx):
            return None
        with self._waiting():
            tx.has_mark = tx.has_prepared = True
            return one_trip.claim(tx, short, values, token, wait)

    def _claim(self, tx: Transaction, statement: str, values: tuple[Any, ...]) -> bool:
        """Whether the statement has found or changed a row. Raises StillRunning."""
        with self._waiting():
            return tx.run(statement, values) > 0

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        try:
            yield
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
            if tx.dialect.driver == "psycopg" and not _is_gevent():
                self._one_trip = OneTrip(self.sql, self.tables.prefix, self._usual_wait)
            self._has_learnt = True


def _is_gevent() -> bool:
    """Whether sockets are gevent's: a wait within libpq would stop all its greenlets."""
    gevent = sys.modules.get("gevent.monkey")
    return gevent is not None and bool(gevent.is_module_patched("socket"))
