"""What SQLite is asked (step 10): the reads, and in a write transaction the application of a group's changes.

What is read of many rows comes as one row of JSON, and many rows are written by one statement, for each step of a
statement may have to wait for Python's lock (`bulk`).
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import msgspec

from oncekv.server.engine.storage.base import Changes, Counters, KeyedRecord, Record, Row, Session, StoreFailed
from oncekv.server.engine.storage.bulk import Bulk
from oncekv.server.engine.storage.record_slots import SLOTS, Slots
from oncekv.server.engine.storage.sqlite_checksums import Damaged, keyed_crc, row_crc, sealed, unsealed
from oncekv.server.engine.storage.sqlite_errors import FAILURES, code, reason
from oncerpc.server.log import log
from oncerpc.wire.errors import TooLarge
from oncerpc.wire.jsonrpc import Reply

__all__ = ["SqliteView"]

EXPIRED_KEYED_PORTION = 500

assert SLOTS == 1024, "the statements below say 1024, as the schema does"
# A value of over 4 KiB is read when somebody asks for it.
_ROWS = Bulk(
    "SELECT json_group_array(json_array(key, version,"
    " CASE WHEN length(CAST(value AS BLOB)) <= 4096 THEN value END, crc))"
    " FROM kv WHERE key IN (",
    "?",
    ")",
)
_SELECT_SESSIONS = (
    "SELECT json_group_array(json_array(number, name, lease_ms, expires_ms, acked, epoch < (SELECT epoch FROM tally),"
    " (SELECT json_group_array(json_array(place, seq, acked)) FROM record"
    " WHERE place BETWEEN number * 1024 AND number * 1024 + 1023))) FROM "
)
_SESSIONS = Bulk(_SELECT_SESSIONS + "session WHERE name IN (", "?", ")")
_PUT_ROWS = Bulk(
    "INSERT INTO kv VALUES ",
    "(?, ?, ?, ?)",
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, crc = excluded.crc",
)
_PUT_RECORDS = Bulk(
    "INSERT INTO record VALUES ",
    "(?, ?, ?, ?)",
    " ON CONFLICT (place) DO UPDATE SET seq = excluded.seq, acked = excluded.acked, answer = excluded.answer",
)
_FORGET_RECORDS = Bulk("DELETE FROM record WHERE place IN (", "?", ")")

_decode_rows = msgspec.json.Decoder(list[tuple[str, int, str | None, int | None]]).decode
_decode_sessions = msgspec.json.Decoder(list[tuple[int, str, int, int, int, int, list[tuple[int, int, int]]]]).decode


R = TypeVar("R")
P = ParamSpec("P")


def _of_the_store(read: Callable[P, R]) -> Callable[P, R]:
    """A read that fails for the store's sake fails the whole group: after some errors SQLite has rolled back."""

    @functools.wraps(read)
    def reading(*args: P.args, **names: P.kwargs) -> R:
        try:
            return read(*args, **names)
        except sqlite3.Error as error:
            if code(error) not in FAILURES:
                raise
            raise StoreFailed(reason(error)) from error

    return reading


class SqliteView:
    """Reads, and in a write transaction the application of a group's changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._executemany = connection.executemany
        self.changed = False

    @_of_the_store
    def row(self, key: str) -> Row | None:
        for value, version, crc in self._execute("SELECT value, version, crc FROM kv WHERE key = ?", (key,)):
            return _checked(key, value, version, crc)
        return None

    def rows(self, keys: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        found = {}
        for cursor in _ROWS.run(self._execute, [(key,) for key in keys]):
            for key, version, value, crc in _decode_rows(_only(cursor)):
                if value is not None:
                    _checked(key, value, version, crc)
                found[key] = (version, value)
        return found

    def page(self, prefix: str, after: str, limit: int, bytes_max: int) -> list[tuple[str, Row]]:
        found: list[tuple[str, Row]] = []
        size = 0
        sql = "SELECT key, value, version, crc FROM kv WHERE key >= ? AND key > ? ORDER BY key"
        with contextlib.closing(self._execute(sql, (prefix, after))) as cursor:
            for key, value, version, crc in cursor:
                # Keys with one prefix stand together, so the first other key ends them.
                if len(found) == limit or not key.startswith(prefix):
                    break
                size += len(key.encode()) + len(value.encode())
                if size > bytes_max:
                    raise TooLarge(f"the page would have over {bytes_max} bytes; ask for fewer keys with limit")
                found.append((key, _checked(key, value, version, crc)))
        return found

    @_of_the_store
    def sessions(self, names: Sequence[str]) -> list[Session]:
        found = _SESSIONS.run(self._execute, [(name,) for name in names])
        return [session for cursor in found for session in _sessions(cursor)]

    def sessions_expired(self, now_ms: int, limit: int) -> list[Session]:
        sql = "SELECT name FROM session WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?"
        return self.sessions([name for (name,) in self._execute(sql, (now_ms, limit))])

    @_of_the_store
    def record(self, row_id: int) -> Record | None:
        for row in self._execute("SELECT place, seq, acked, answer FROM record WHERE place = ?", (row_id,)):
            try:
                return unsealed(*row)
            except Damaged as damage:
                raise _logged(damage) from None
        return None

    @_of_the_store
    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        sql = "SELECT fingerprint, failed, body, expires_ms, crc FROM keyed WHERE scope = ? AND key = ?"
        for fingerprint, failed, body, expires_ms, crc in self._execute(sql, (scope, key)):
            reply = Reply(bool(failed), body)
            if crc is not None and crc != keyed_crc(key, fingerprint, reply, expires_ms):
                raise _logged(Damaged("the record of an Idempotency-Key does not match its checksum"))
            return KeyedRecord(fingerprint, reply, expires_ms)
        return None

    def keyed_expired(self, now_ms: int) -> bool:
        sql = "SELECT 1 FROM keyed WHERE expires_ms <= ? LIMIT 1"
        return self._execute(sql, (now_ms,)).fetchone() is not None

    def counters(self) -> Counters:
        sql = "SELECT clock_ms, sessions_opened, sessions, records FROM tally"
        return Counters(*self._execute(sql).fetchone())

    def foresee(self, names: Collection[str], keys: Collection[str], keyed: Collection[tuple[bytes, str]] = ()) -> None:
        """Nothing to do: no other writer runs beside this one."""

    def new_session_number(self, counted: int) -> int:
        return counted + 1

    def data_version(self) -> int:
        """SQLite's own count: it moves when another connection has committed, and not by what this one does."""
        return int(self._execute("PRAGMA data_version").fetchone()[0])

    def boot(self) -> int:
        """Count one more start; the new count."""
        self.changed = True
        rows = self._execute("UPDATE tally SET boot = boot + 1 RETURNING boot").fetchall()
        if not rows:
            raise StoreFailed("its table tally is empty")
        return int(rows[0][0])

    def apply(self, changes: Changes) -> None:
        # After some errors, a read's too, SQLite has rolled back by itself: each statement would then commit alone.
        if not self._connection.in_transaction:
            raise StoreFailed("the transaction was rolled back before its end")
        self.changed = True
        self._apply_rows(changes)
        self._apply_sessions(changes)
        self._apply_records(changes)
        if changes.counters:
            self._execute(
                "UPDATE tally SET clock_ms = ?, sessions_opened = ?, sessions = ?, records = ?", changes.counters
            )

    def _apply_rows(self, changes: Changes) -> None:
        written = [(key, *row, row_crc(key, *row)) for key, row in changes.rows.items() if row is not None]
        _PUT_ROWS.do(self._execute, written)
        if len(written) < len(changes.rows):
            self._many("DELETE FROM kv WHERE key = ?", [(key,) for key, row in changes.rows.items() if row is None])

    def _apply_sessions(self, changes: Changes) -> None:
        self._many("DELETE FROM session WHERE number = ?", [(number,) for number in changes.ended])
        self._many(
            "INSERT INTO session SELECT ?, ?, ?, ?, ?, epoch FROM tally",
            [(it.number, it.name, it.lease_ms, it.expires_ms, it.acked) for it in changes.opened.values()],
        )
        self._many(
            "UPDATE session SET expires_ms = ?, acked = ? WHERE number = ?",
            [(it.expires_ms, it.acked, it.number) for it in changes.sessions.values()],
        )

    def _apply_records(self, changes: Changes) -> None:
        _PUT_RECORDS.do(self._execute, [sealed(row) for row in changes.records.values()])
        _FORGET_RECORDS.do(self._execute, [(row_id,) for row_id in changes.forgotten])
        self._many(
            "DELETE FROM record WHERE place BETWEEN ? AND ?",
            [(number * SLOTS, number * SLOTS + SLOTS - 1) for number in changes.ended],
        )
        if changes.keyed_expired_ms is not None:
            self._execute(
                "DELETE FROM keyed WHERE (scope, key) IN"
                " (SELECT scope, key FROM keyed WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)",
                (changes.keyed_expired_ms, EXPIRED_KEYED_PORTION),
            )
        self._many(
            "INSERT OR REPLACE INTO keyed VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (scope, key, kept.fingerprint, *kept.reply, kept.expires_ms, keyed_crc(key, *kept))
                for (scope, key), kept in changes.keyed.items()
            ],
        )

    def _many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        """What is rare in a group: a step for each row."""
        if parameters:
            self._executemany(sql, parameters)


def _checked(key: str, value: str, version: int, crc: int | None) -> Row:
    """Raises Damaged."""
    if crc is not None and crc != row_crc(key, value, version):
        raise _logged(Damaged(f"the value of {key!r:.100} does not match its checksum"))
    return Row(value, version)


def _logged(damage: Damaged) -> Damaged:
    """Damage is the operator's affair as well."""
    log.error("%s", damage.message)
    return damage


def _only(cursor: sqlite3.Cursor) -> Any:
    """The one value that the statement gives."""
    return cursor.fetchone()[0]


def _sessions(cursor: sqlite3.Cursor) -> Iterator[Session]:
    for number, name, lease_ms, expires_ms, acked, is_restored, records in _decode_sessions(_only(cursor)):
        watermark = max([acked, *(carried for _, _, carried in records)])
        kept = {seq: row_id - number * SLOTS for row_id, seq, _ in records}
        yield Session(number, name, lease_ms, expires_ms, watermark, Slots(kept), is_restored=bool(is_restored))
