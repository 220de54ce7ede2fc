"""PostgreSQL in fewer round trips: what the library says before a handler, and after it, goes as one message each.

Beside a handler of three statements the claim, its savepoint and the record would be three trips more, half as much
again. Here BEGIN, the claim and the savepoint are one simple query of libpq, and the record and COMMIT are another one,
so a retry-safe request has as many trips as an ordinary one. What has a plan is prepared, for a simple query is parsed
each time; psycopg may forget what is prepared on a connection when it rolls back, so then it is asked what is there.

Guarantee: the same as one by one. PostgreSQL stops at the first statement of a message that fails, so nothing is
committed after a record that could not be put. Limit: psycopg 3 alone, where it prepares statements itself (with
`prepare_threshold=None`, as behind PgBouncer, nothing is prepared here either), in the isolation level of the server,
in UTF-8. Elsewhere, and after what was prepared was lost in the middle of a handler, the statements go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from oncerpc.server.log import log
from oncerpc.server.sql.database import MARK, StatementsForgotten
from oncerpc.server.sql.errors import one_line, sqlstate
from oncerpc.server.sql.transaction import Transaction, TransactionEnded

__all__ = ["OURS", "OneTrip", "watch"]

FORGOTTEN_MAX = 5
"""So often what was prepared may be gone at a claim, where nothing has run yet."""

Value = str | int | bytes  # a bool is an int

_CLAIM_KEY = """ (text, text, bytea, bytea, bigint, bigint, text) AS
INSERT INTO {key} (scope, key, fingerprint, attempt, failed, reply, created_ms, expires_ms)
VALUES ($1, $2, $3, $4, false, NULL, $5, $6) ON CONFLICT DO NOTHING RETURNING set_config('oncerpc.claimed', $7, true)"""
_CLAIM_RECORD = """ (bigint, bytea, bytea, text, text) AS
INSERT INTO {record} (session, seq, fingerprint, attempt, failed, reply)
SELECT number, $1, $2, $3, false, NULL FROM {session} WHERE name = $4
ON CONFLICT DO NOTHING RETURNING set_config('oncerpc.claimed', $5, true)"""
OURS = "reply IS NULL AND xmin::text::bigint = mod(txid_current(), 4294967296)"
"""Whether a row was claimed by this very transaction: the handler has not ended it by the driver."""
# A record that is not there divides by zero: that stops the message before its COMMIT.
_PUT_KEY = f""" (boolean, bytea, text, text) AS WITH put AS (
UPDATE {{key}} SET failed = $1, reply = $2 WHERE scope = $3 AND key = $4 AND {OURS} RETURNING 1)
SELECT 1 / count(*) FROM put"""  # noqa: S608 the names are the library's own
_PUT_RECORD = f""" (boolean, bytea, bigint, bigint) AS WITH put AS (
UPDATE {{record}} SET failed = $1, reply = $2 WHERE session = $3 AND seq = $4 AND {OURS} RETURNING 1)
SELECT 1 / count(*) FROM put"""  # noqa: S608 the names are the library's own
_STATEMENTS = {"claim_key": _CLAIM_KEY, "claim_record": _CLAIM_RECORD, "put_key": _PUT_KEY, "put_record": _PUT_RECORD}

_DIVISION_BY_ZERO = "22012"
_FORGOTTEN = {"26000", "42P05"}
"""invalid_sql_statement_name, duplicate_prepared_statement: the session is not the one that prepared."""
_IDLE, _IN_ERROR = 0, 3  # PQTRANS_IDLE, PQTRANS_INERROR of libpq


_ASK_PREPARED = b"SELECT coalesce(string_agg(name, ','), '') FROM pg_prepared_statements WHERE from_sql"
_CLAIMED = "current_setting('oncerpc.claimed', true)"
_PREPARED = "oncerpc prepared"
"""In a pooled connection's `info`: the names of what is prepared on it."""
_COMMITTED = "oncerpc committed"
"""In there as well: it comes back to the pool after a commit, and psycopg rolls nothing back."""


class OneTrip:
    """The messages of one database. Safe for threads."""

    def __init__(self, sql: Callable[[str], str], prefix: str, usual_wait: str) -> None:
        """sql: puts in the names of the tables. usual_wait: the connections' own lock_timeout."""
        from psycopg import errors, pq  # the driver is the application's choice

        self._pq, self._errors = pq, errors
        self._names = {short: f"{prefix}{short}".encode() for short in _STATEMENTS}
        self._prepare = {
            short: b'PREPARE "%b"%b;' % (self._names[short], sql(text).encode()) for short, text in _STATEMENTS.items()
        }
        usual = usual_wait.replace("'", "''")
        # Only where the row was claimed, and before the savepoint: whoever found another's row may still have to wait
        # for one, and after a rollback to the savepoint the usual wait holds as well.
        self._usual = f"SELECT set_config('lock_timeout','{usual}',true) WHERE {_CLAIMED}='".encode()
        self._ready = f"';SAVEPOINT {MARK};SELECT {_CLAIMED}".encode()
        self._works = True
        self._forgotten = 0

    def fits(self, tx: Transaction) -> bool:
        """Whether this connection can be spoken to so."""
        driver: Any = tx.connection.dbapi_connection
        return (
            self._works
            and driver.prepare_threshold is not None
            and driver.isolation_level is None
            and driver.read_only is None
            and driver.deferrable is None
            and not tx.dispatch.commit  # a listener may still write, or say no
            and driver.pgconn.parameter_status(b"client_encoding") == b"UTF8"
        )

    def claim(self, tx: Transaction, short: str, values: Sequence[Value], token: bytes, wait: str) -> bool:
        """BEGIN, the claim, the savepoint. Whether it was claimed; raises what the driver would."""
        prepared = self._prepared(tx)
        put = short.replace("claim", "put")
        missing = {self._names[each]: self._prepare[each] for each in (short, put) if self._names[each] not in prepared}
        begin = b"".join(missing.values()) + (b"BEGIN;" if self._status(tx) == _IDLE else b"")
        marked = token.hex().encode()
        execute = self._execute(tx, short, [*values, token.hex()])
        begin += b"SET LOCAL lock_timeout='%b'" % wait.encode()
        try:
            result = self._send(tx, b"%b;%b;%b%b%b" % (begin, execute, self._usual, marked, self._ready))
        except StatementsForgotten as error:
            self._forgotten += 1
            if self._forgotten >= FORGOTTEN_MAX:
                self._stop("statements do not stay prepared on these connections", error)
            raise
        prepared.update(missing)
        return bool(result.get_value(0, 0) == marked)

    def _prepared(self, tx: Transaction) -> set[bytes]:
        """The names of what is prepared on this connection; asked where somebody else may have rolled back on it."""
        facts = tx.connection.info
        if _PREPARED not in facts:
            facts[_PREPARED] = set(self._send(tx, _ASK_PREPARED).get_value(0, 0).split(b","))
        prepared: set[bytes] = facts[_PREPARED]
        return prepared

    def put_and_commit(self, tx: Transaction, short: str, values: Sequence[Value]) -> None:
        """The record, and COMMIT. Raises TransactionEnded where the claim is not there, and what the driver would."""
        if self._status(tx) == _IDLE:
            raise TransactionEnded("what the driver was told")
        facts = tx.connection.info
        try:
            self._send(tx, self._execute(tx, short, values) + b";COMMIT")
            facts[_COMMITTED] = True
        except DBAPIError as error:
            in_record = not tx.invalidated and self._status(tx) == _IN_ERROR
            if in_record and sqlstate(error) == _DIVISION_BY_ZERO:
                raise TransactionEnded("what the driver was told") from error
            raise
        except StatementsForgotten as error:
            self._stop("a handler has made its connection forget what was prepared", error)
            raise

    def _status(self, tx: Transaction) -> int:
        driver: Any = tx.connection.dbapi_connection
        return int(driver.pgconn.transaction_status)

    def _execute(self, tx: Transaction, short: str, values: Sequence[Value]) -> bytes:
        driver: Any = tx.connection.dbapi_connection
        escape = self._pq.Escaping(driver.pgconn).escape_literal
        return b'EXECUTE "%b"(%b)' % (self._names[short], b",".join(_literal(value, escape) for value in values))

    def _send(self, tx: Transaction, message: bytes) -> Any:
        """The last result. Raises StatementsForgotten, and what the driver would: without the message, which has the
        caller's reply in it.
        """
        driver: Any = tx.connection.dbapi_connection
        try:
            result = driver.pgconn.exec_(message)
            if result.status in (self._pq.ExecStatus.TUPLES_OK, self._pq.ExecStatus.COMMAND_OK):
                return result
            error = self._errors.error_from_result(result)
        except self._errors.Error as found:
            error = found
        if sqlstate(error) in _FORGOTTEN:
            tx.connection.info.pop(_PREPARED, None)
            raise StatementsForgotten(one_line(error)) from error
        return tx.failed(error, "statements of oncerpc")

    def _stop(self, why: str, error: StatementsForgotten) -> None:
        """From here on one statement goes at a time."""
        if self._works:
            log.warning("%s (%s): from now on one statement goes at a time", why, error)
        self._works = False


def watch(engine: Engine) -> None:
    """See when its connections come back; before they are used by anybody."""
    event.listen(engine, "checkin", _forget)


def _forget(_connection: Any, record: Any) -> None:
    """A connection comes back to the pool: unless it was committed here, psycopg may have rolled back."""
    if not record.info.pop(_COMMITTED, False):
        record.info.pop(_PREPARED, None)


def _literal(value: Value, escape: Callable[[bytes], bytes]) -> bytes:
    if isinstance(value, bytes):
        return b"E'\\\\x%b'" % value.hex().encode()
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return b"%d" % value
    if "\0" in value:
        raise ValueError("PostgreSQL's text has no character 0")
    return bytes(escape(value.encode()))
