"""A SQLite file as a source or a target: its exclusive lock is held for as long as it is open.

A server has the file open all the time, so the lock is refused while one runs, and no server comes in meanwhile.
Until the end the file has an application id of its own (`sqlite.MIGRATING_ID`), by which servers know it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from oncekv.server.config import StartupError
from oncekv.server.engine.storage import sqlite
from oncekv.server.engine.storage.base import pack
from oncekv.server.engine.storage.record_slots import SLOTS
from oncekv.server.engine.storage.sqlite_checksums import Damaged, keyed_crc, row_crc, unsealed
from oncekv.server.engine.storage.sqlite_errors import cannot_open, code, reason
from oncekv.server.engine.storage.sqlite_files import check_rights, make_file, make_folder, parse_location, shown
from oncekv.server.migration.items import KEYED, KEYS, RECORDS, SESSIONS, Id, Item
from oncekv.server.migration.sides import (
    MigrationFailed,
    MigrationRefused,
    Origin,
    Progress,
    decode_progress,
    encode_progress,
)
from oncerpc.wire.fingerprint import FINGERPRINT_BYTES
from oncerpc.wire.jsonrpc import Reply

__all__ = ["SqliteSide", "open_side"]

LOCK_TIMEOUT_S = 1.0
BATCH_ITEMS = 1000
BATCH_BYTES = 1024 * 1024

assert SLOTS == 1024, "the statements below say 1024, as the schema does"
# A session from before a restore stays behind: no other engine would know that its calls may have run.
_SELECT = {
    KEYS: "SELECT key, version, value, crc FROM kv WHERE key > ? ORDER BY key",
    SESSIONS: "SELECT name, lease_ms, expires_ms, max(acked, coalesce((SELECT max(record.acked) FROM record"
    " WHERE place BETWEEN number * 1024 AND number * 1024 + 1023), 0)) FROM session"
    " WHERE name > ? AND session.epoch = (SELECT epoch FROM tally) ORDER BY name",
    # A CROSS JOIN keeps its order: session by session, and only one session's records are ever sorted.
    RECORDS: "SELECT name, place, seq, record.acked, answer FROM session CROSS JOIN record"
    " ON place BETWEEN number * 1024 AND number * 1024 + 1023"
    " WHERE (name, seq) > (?, ?) AND session.epoch = (SELECT epoch FROM tally) ORDER BY name, seq",
    KEYED: "SELECT scope, key, fingerprint, failed, body, expires_ms, crc FROM keyed"
    " WHERE (scope, key) > (?, ?) ORDER BY scope, key",
}
_FIRST: dict[str, Id] = {KEYS: ("",), SESSIONS: ("",), RECORDS: ("", -1), KEYED: (b"", "")}
_PUT_KEY = "INSERT INTO kv (key, version, value, crc) VALUES (?, ?, ?, ?)"
_PUT_SESSION = "INSERT INTO session (number, name, lease_ms, expires_ms, acked) VALUES (?, ?, ?, ?, ?)"
_PUT_RECORD = """
INSERT INTO record
SELECT coalesce((SELECT max(place) + 1 FROM record WHERE place BETWEEN number * 1024 AND number * 1024 + 1023),
    number * 1024), ?, 0, ?
FROM session WHERE name = ?
"""
_PUT_KEYED = "INSERT INTO keyed (scope, key, fingerprint, failed, body, expires_ms) VALUES (?, ?, ?, ?, ?, ?)"


def open_side(location: str) -> SqliteSide:
    """`location` is what follows `sqlite://`. Nothing is opened yet."""
    return SqliteSide(parse_location(location))


class SqliteSide:
    """One file."""

    batch_items = BATCH_ITEMS
    batch_bytes = BATCH_BYTES

    def __init__(self, path: Path) -> None:
        self.where = f"sqlite {shown(path)}"
        self._path = path
        self._opened: sqlite3.Connection | None = None

    def origin(self) -> Origin:
        """The lock is held from here on."""
        if not self._path.exists():
            raise MigrationRefused(f"there is no store {shown(self._path)}; name the one that is to be moved")
        with self._telling(MigrationRefused):
            sqlite.prepare(self._connection, self._path)
            boot, clock_ms = self._connection.execute("SELECT boot, clock_ms FROM tally").fetchone()
        return Origin(self.where, boot, clock_ms, self.state())

    def state(self) -> str:
        with self._telling(MigrationFailed):
            return "/".join(map(str, self._connection.execute("SELECT boot, clock_ms FROM tally").fetchone()))

    def items(self, kind: str, after: Id | None = None) -> Iterator[Item]:
        first = _FIRST[kind] if after is None else _ID_AS_STORED[kind](after)
        with (
            self._telling(MigrationFailed),
            contextlib.closing(self._connection.execute(_SELECT[kind], first)) as cursor,
        ):
            yield from map(_ITEM_OF[kind], cursor)

    def progress(self) -> Progress | None:
        if not self._path.exists():
            return None
        with self._telling(MigrationRefused):
            run = self._connection.execute
            (application,) = run("PRAGMA application_id").fetchone()
            (version,) = run("PRAGMA user_version").fetchone()
            (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
            if application == sqlite.MIGRATING_ID:
                ((stored,),) = run("SELECT progress FROM migration").fetchall()
                return decode_progress(stored)
        if application or version or tables:
            what = "holds a store already" if application == sqlite.APPLICATION_ID else "belongs to another program"
            raise MigrationRefused(f"{shown(self._path)} {what}; name a file that is not there yet")
        return None

    def begin(self, progress: Progress) -> None:
        with self._telling(MigrationRefused):
            make_folder(self._path.parent)
            make_file(self._path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self._transaction() as run:
                sqlite.make_schema(self._connection, sqlite.MIGRATING_ID)
                run("CREATE TABLE migration (progress BLOB NOT NULL)")
                run("INSERT INTO migration VALUES (?)", (encode_progress(progress),))

    def put(self, kind: str, items: Sequence[Item], before: Progress, after: Progress) -> None:
        with self._telling(MigrationFailed), self._transaction() as run:
            run("UPDATE migration SET progress = ?", (encode_progress(after),))
            self._put(kind, items, before)

    def finish(self, progress: Progress) -> None:
        counts, origin = progress.counts, progress.origin
        with self._telling(MigrationFailed), self._transaction() as run:
            sessions = counts.get(SESSIONS, 0)
            run(
                "UPDATE tally SET boot = ?, clock_ms = ?, sessions_opened = ?, sessions = ?, records = ?",
                (origin.boot, origin.clock_ms, sessions, sessions, counts.get(RECORDS, 0)),
            )
            run("DROP TABLE migration")
            run(f"PRAGMA application_id = {sqlite.APPLICATION_ID}")

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _put(self, kind: str, items: Sequence[Item], before: Progress) -> None:
        sql, rows = _rows(kind, items, before)
        self._connection.executemany(sql, rows)

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            check_rights(self._path)
            self._opened = sqlite.connect(self._path, LOCK_TIMEOUT_S, is_exclusive=True)
            self._opened.execute("PRAGMA temp_store = DEFAULT")  # what is sorted may be large
        return self._opened

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Callable[..., Any]]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection.execute
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _telling(self, kind: type[StartupError]) -> Iterator[None]:
        try:
            yield
        except Damaged as damage:
            raise MigrationFailed(damage.message) from None
        except (sqlite3.Error, OSError) as error:
            if code(error) == sqlite3.SQLITE_BUSY:
                said = f"{shown(self._path)} is in use; end the server (or the other move) that has it open"
                raise MigrationRefused(said) from None
            if kind is MigrationRefused:
                raise MigrationRefused(cannot_open(self._path, error)) from None
            raise MigrationFailed(f"{shown(self._path)}: {reason(error)}; see to it, and run it again") from None


def _rows(kind: str, items: Sequence[Item], before: Progress) -> tuple[str, list[tuple[Any, ...]]]:
    """A statement, and what it is run with."""
    if kind == KEYS:
        rows = ((key.decode(), version, value.decode()) for key, version, value in items)
        return _PUT_KEY, [(key, version, value, row_crc(key, value, version)) for key, version, value in rows]
    if kind == SESSIONS:  # numbered in their order
        first = before.counts.get(SESSIONS, 0) + 1
        return _PUT_SESSION, [(first + n, name.decode(), *rest) for n, (name, *rest) in enumerate(items)]
    if kind == RECORDS:
        return _PUT_RECORD, [(seq, answer, name.decode()) for name, seq, answer in items]
    body = FINGERPRINT_BYTES + 1
    return _PUT_KEYED, [
        (scope, key.decode(), answer[: body - 1], answer[body - 1], answer[body:], expires_ms)
        for scope, key, answer, expires_ms in items
    ]


def _keyed_item(row: tuple[Any, ...]) -> Item:
    scope, key, fingerprint, failed, body, expires_ms, crc = row
    reply = Reply(bool(failed), body)
    if crc is not None and crc != keyed_crc(key, fingerprint, reply, expires_ms):
        raise Damaged("the record of an Idempotency-Key does not match its checksum")
    return scope, key.encode(), pack(fingerprint, reply), expires_ms


def _key_item(row: tuple[Any, ...]) -> Item:
    key, version, value, crc = row
    if crc is not None and crc != row_crc(key, value, version):
        raise Damaged(f"the value of {key!r:.100} does not match its checksum")
    return key.encode(), version, value.encode()


def _record_item(row: tuple[Any, ...]) -> Item:
    """Without its checksum, which is of its place as well."""
    name, place, seq, acked, answer = row
    return name.encode(), seq, pack(*unsealed(place, seq, acked, answer))


_ITEM_OF: dict[str, Callable[[tuple[Any, ...]], Item]] = {
    KEYS: _key_item,
    SESSIONS: lambda row: (row[0].encode(), *row[1:]),
    RECORDS: _record_item,
    KEYED: _keyed_item,
}
_ID_AS_STORED: dict[str, Callable[[Id], Id]] = {
    KEYS: lambda it: (it[0].decode(),),
    SESSIONS: lambda it: (it[0].decode(),),
    RECORDS: lambda it: (it[0].decode(), it[1]),
    KEYED: lambda it: (it[0], it[1].decode()),
}
