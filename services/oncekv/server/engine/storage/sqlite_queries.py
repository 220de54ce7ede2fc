"""What SQLite is asked (10): the reads, and in a write transaction the application of a group's changes.

What is read of many rows comes as one row of JSON, and many rows are written by one statement, for each step of a
statement may have to wait for Python's lock (`bulk`).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from oncekv.server.engine.storage.base import Changes, Counters, KeyedRecord, Record, Row, Session, StoreFailed, unpack
from oncekv.server.engine.storage.bulk import Bulk
from oncekv.server.engine.storage.record_slots import SLOTS, Slots
from oncerpc.wire.envelope import Reply
from oncerpc.wire.errors import TooLarge

__all__ = ["SqliteView"]

EXPIRED_KEYED_PORTION = 500

assert SLOTS == 1024, "the statements below say 1024, as the schema does"
# A value of over 4 KiB is read when somebody asks for it.
_ROWS = Bulk(
    "SELECT json_group_array(json_array(key, version, CASE WHEN length(CAST(value AS BLOB)) <= 4096 THEN value END))"
    " FROM kv WHERE key IN (",
    "?",
    ")",
)
_SELECT_SESSIONS = (
    "SELECT json_group_array(json_array(number, name, lease_ms, expires_ms, acked,"
    " (SELECT json_group_array(json_array(place, seq, acked)) FROM record"
    " WHERE place BETWEEN number * 1024 AND number * 1024 + 1023))) FROM "
)
_SESSIONS = Bulk(_SELECT_SESSIONS + "session WHERE name IN (", "?", ")")
_PUT_ROWS = Bulk(
    "INSERT INTO kv VALUES ",
    "(?, ?, ?)",
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version",
)
_PUT_RECORDS = Bulk(
    "INSERT INTO record VALUES ",
    "(?, ?, ?, ?)",
    " ON CONFLICT (place) DO UPDATE SET seq = excluded.seq, acked = excluded.acked, answer = excluded.answer",
)
_FORGET_RECORDS = Bulk("DELETE FROM record WHERE place IN (", "?", ")")

_decode_rows = msgspec.json.Decoder(list[tuple[str, int, str | None]]).decode
_decode_sessions = msgspec.json.Decoder(list[tuple[int, str, int, int, int, list[tuple[int, int, int]]]]).decode


class SqliteView:
    """Reads, and in a write transaction the application of a group's changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._executemany = connection.executemany
        self.changed = False

    def row(self, key: str) -> Row | None:
        for value, version in self._execute("SELECT value, version FROM kv WHERE key = ?", (key,)):
            return Row(value, version)
        return None

    def rows(self, keys: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        found = {}
        for cursor in _ROWS.run(self._execute, [(key,) for key in keys]):
            for key, version, value in _decode_rows(_only(cursor)):
                found[key] = (version, value)
        return found

    def page(self, prefix: str, after: str, limit: int, bytes_max: int) -> list[tuple[str, Row]]:
        found: list[tuple[str, Row]] = []
        size = 0
        sql = "SELECT key, value, version FROM kv WHERE key >= ? AND key > ? ORDER BY key"
        with contextlib.closing(self._execute(sql, (prefix, after))) as cursor:
            for key, value, version in cursor:
                # Keys with one prefix stand together, so the first other key ends them.
                if len(found) == limit or not key.startswith(prefix):
                    break
                size += len(key.encode()) + len(value.encode())
                if size > bytes_max:
                    raise TooLarge(f"the page would have over {bytes_max} bytes; ask for fewer keys with limit")
                found.append((key, Row(value, version)))
        return found

    def sessions(self, names: Sequence[str]) -> list[Session]:
        found = _SESSIONS.run(self._execute, [(name,) for name in names])
        return [session for cursor in found for session in _sessions(cursor)]

    def sessions_expired(self, now_ms: int, limit: int) -> list[Session]:
        sql = "SELECT name FROM session WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?"
        return self.sessions([name for (name,) in self._execute(sql, (now_ms, limit))])

    def record(self, row_id: int) -> Record | None:
        for (answer,) in self._execute("SELECT answer FROM record WHERE place = ?", (row_id,)):
            return unpack(answer)
        return None

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        sql = "SELECT fingerprint, failed, body, expires_ms FROM keyed WHERE scope = ? AND key = ?"
        for fingerprint, failed, body, expires_ms in self._execute(sql, (scope, key)):
            return KeyedRecord(fingerprint, Reply(bool(failed), body), expires_ms)
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
        written = [(key, *row) for key, row in changes.rows.items() if row is not None]
        _PUT_ROWS.do(self._execute, written)
        if len(written) < len(changes.rows):
            self._many("DELETE FROM kv WHERE key = ?", [(key,) for key, row in changes.rows.items() if row is None])

    def _apply_sessions(self, changes: Changes) -> None:
        self._many("DELETE FROM session WHERE number = ?", [(number,) for number in changes.ended])
        self._many(
            "INSERT INTO session VALUES (?, ?, ?, ?, ?)",
            [(it.number, it.name, it.lease_ms, it.expires_ms, it.acked) for it in changes.opened.values()],
        )
        self._many(
            "UPDATE session SET expires_ms = ?, acked = ? WHERE number = ?",
            [(it.expires_ms, it.acked, it.number) for it in changes.sessions.values()],
        )

    def _apply_records(self, changes: Changes) -> None:
        _PUT_RECORDS.do(self._execute, list(changes.records.values()))
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
            "INSERT OR REPLACE INTO keyed VALUES (?, ?, ?, ?, ?, ?)",
            [(*key, kept.fingerprint, *kept.reply, kept.expires_ms) for key, kept in changes.keyed.items()],
        )

    def _many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        """What is rare in a group: a step for each row."""
        if parameters:
            self._executemany(sql, parameters)


def _only(cursor: sqlite3.Cursor) -> Any:
    """The one value that the statement gives."""
    return cursor.fetchone()[0]


def _sessions(cursor: sqlite3.Cursor) -> Iterator[Session]:
    for number, name, lease_ms, expires_ms, acked, records in _decode_sessions(_only(cursor)):
        watermark = max([acked, *(carried for _, _, carried in records)])
        kept = {seq: row_id - number * SLOTS for row_id, seq, _ in records}
        yield Session(number, name, lease_ms, expires_ms, watermark, Slots(kept))
