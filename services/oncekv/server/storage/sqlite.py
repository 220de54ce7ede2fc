"""SQLite (10): the embedded engine; one file, shared by the workers and servers of one machine.

Write-ahead log with `synchronous=FULL`: a commit returns after its fsync. `BEGIN IMMEDIATE` lets one writer in at
a time, over all processes, so a duplicate on another worker waits for the first and then finds its record.
Limit: one machine, and a disk that keeps what it has acknowledged.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from oncekv.server.config import StartupError
from oncekv.server.storage.base import Changes, KeyedRecord, Record, Row, Session, StoreBusy, Tally
from oncekv.server.storage.bulk import Bulk
from oncekv.server.storage.slots import SLOTS, Slots
from oncekv.wire.envelope import Reply
from oncekv.wire.errors import TooLarge

__all__ = ["SqliteStore", "open_store"]

APPLICATION_ID = 0x4F4B5631  # "OKV1": tells our files from other programs'
SCHEMA_VERSION = 2
BUSY_TIMEOUT_S = 10.0
READERS_MAX = 2  # more only fight over the interpreter lock; measured
EXPIRED_KEYED_PORTION = 500
STATEMENTS_KEPT = 256
VALUE_BYTES_READ_AHEAD = 4096  # a larger value is read when somebody asks for it

# What is read of many rows comes as one row of JSON, for each row would be a step (bulk.py says what that costs).
_ROWS = Bulk(
    "SELECT json_group_array(json_array(key, version,"
    f" CASE WHEN length(CAST(value AS BLOB)) <= {VALUE_BYTES_READ_AHEAD} THEN value END)) FROM kv WHERE key IN (",
    "?",
    ")",
)
_SESSION = (
    "json_array(number, name, lease_ms, expires_ms, acked, (SELECT json_group_array(json_array(place, seq, acked))"
    f" FROM record WHERE place BETWEEN number * {SLOTS} AND number * {SLOTS} + {SLOTS - 1}))"
)
_SESSIONS = Bulk(f"SELECT json_group_array({_SESSION}) FROM session WHERE name IN (", "?", ")")
_PUT_ROWS = Bulk(
    "INSERT INTO kv VALUES ",
    "(?, ?, ?)",
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version",
)
_PUT_RECORDS = Bulk(
    "INSERT INTO record VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (place) DO UPDATE SET seq = excluded.seq, acked = excluded.acked,"
    " fingerprint = excluded.fingerprint, failed = excluded.failed, body = excluded.body",
)
_FORGET_RECORDS = Bulk("DELETE FROM record WHERE place IN (", "?", ")")

_decode_rows = msgspec.json.Decoder(list[tuple[str, int, str | None]]).decode
_decode_sessions = msgspec.json.Decoder(list[tuple[int, str, int, int, int, list[tuple[int, int, int]]]]).decode


def open_store(location: str) -> SqliteStore:
    """`location` is what follows `sqlite://`: a slash and the file's path, so an absolute path gives four slashes."""
    if not location.startswith("/") or len(location) < 2:
        raise StartupError("a SQLite store is given as sqlite:///FILE (sqlite:////abs/olute/FILE)")
    path = Path(unquote(location[1:]))
    if path.name == ":memory:" or "\0" in str(path) or (path.exists() and not (path.is_file() or path.is_dir())):
        raise StartupError(f"{str(path)!r} is no place for a store; name a file")
    is_new = not path.exists()
    made = _make_folder(path.parent)
    try:
        connection = _connect(path)
        try:
            _prepare(connection, path)
        finally:
            connection.close()
    except sqlite3.Error as error:
        if is_new:
            _unmake(path, made)
        raise StartupError(f"cannot open the store {path}: {error}; {_way_out(path, error)}") from None
    return SqliteStore(path)


class SqliteStore:
    """The store in one SQLite file."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = _connect(path)
        self._readers: list[sqlite3.Connection] = []
        self._readers_free = threading.Semaphore(READERS_MAX)
        self.data_version = -1
        """SQLite's count of what others have committed, when the writer last looked."""

    def boot(self) -> int:
        """Count one more start on this store; the new count."""
        rows = self._writer.execute("UPDATE tally SET boot = boot + 1 RETURNING boot").fetchall()
        return int(rows[0][0])

    @contextlib.contextmanager
    def read(self) -> Iterator[SqliteView]:
        """One of a bounded number of read connections, with a snapshot of what is committed."""
        with self._readers_free:
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = _connect(self._path)
            try:
                connection.execute("BEGIN")
                yield SqliteView(connection, self)
            finally:
                connection.execute("ROLLBACK")
                self._readers.append(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[SqliteView]:
        """The one write transaction; commits at the end, rolls back on any exception."""
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            raise StoreBusy(str(error)) from None
        view = SqliteView(connection, self)
        try:
            yield view
            # A group that changed nothing (replays, refusals) owes the disk nothing.
            connection.execute("COMMIT" if view.changed else "ROLLBACK")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close all connections; the last one of the file writes the log back into it."""
        for connection in (*self._readers, self._writer):
            connection.close()
        self._readers.clear()


class SqliteView:
    """Reads, and in a write transaction the application of a group's changes."""

    def __init__(self, connection: sqlite3.Connection, store: SqliteStore) -> None:
        self._store = store
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
        sql = (
            f"SELECT json_group_array({_SESSION}) FROM"
            " (SELECT * FROM session WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)"
        )
        return list(_sessions(self._execute(sql, (now_ms, limit))))

    def record(self, place: int) -> Record | None:
        sql = "SELECT fingerprint, failed, body FROM record WHERE place = ?"
        for fingerprint, failed, body in self._execute(sql, (place,)):
            return Record(fingerprint, Reply(bool(failed), body))
        return None

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        sql = "SELECT fingerprint, failed, body, expires_ms FROM keyed WHERE scope = ? AND key = ?"
        for fingerprint, failed, body, expires_ms in self._execute(sql, (scope, key)):
            return KeyedRecord(fingerprint, Reply(bool(failed), body), expires_ms)
        return None

    def keyed_expired(self, now_ms: int) -> bool:
        sql = "SELECT 1 FROM keyed WHERE expires_ms <= ? LIMIT 1"
        return self._execute(sql, (now_ms,)).fetchone() is not None

    def tally(self) -> Tally:
        sql = "SELECT clock_ms, sessions_opened, sessions, records FROM tally"
        return Tally(*self._execute(sql).fetchone())

    def changed_by_others(self) -> bool:
        """By SQLite's own count: it moves when another connection has committed, and not by what this one does."""
        before = self._store.data_version
        (self._store.data_version,) = self._execute("PRAGMA data_version").fetchone()
        return before != self._store.data_version

    def apply(self, changes: Changes) -> None:
        self.changed = True
        self._apply_rows(changes)
        self._apply_sessions(changes)
        self._apply_records(changes)
        if changes.tally:
            self._execute(
                "UPDATE tally SET clock_ms = ?, sessions_opened = ?, sessions = ?, records = ?", changes.tally
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
        _FORGET_RECORDS.do(self._execute, [(place,) for place in changes.forgotten])
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
        kept = {seq: place - number * SLOTS for place, seq, _ in records}
        yield Session(number, name, lease_ms, expires_ms, watermark, Slots(kept))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_KEPT)
    connection.execute("PRAGMA synchronous = FULL")
    # A statement over many rows keeps what it needs to take itself back; by default in a file, from 64 KiB on.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the schema in a new file; refuse a foreign file and a newer schema, and leave those untouched."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION_ID and (tables or application or version):
            raise StartupError(f"{path} belongs to another program; name another file")
        if version > SCHEMA_VERSION:
            raise StartupError(
                f"{path} has schema {version}, this release knows {SCHEMA_VERSION}; use the newer release"
            )
        if not tables:
            for statement in _schema().split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA journal_mode = WAL")


def _schema() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


def _make_folder(folder: Path) -> list[Path]:
    """The folders that had to be made, innermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _unmake(folder / "nothing", missing)
        raise StartupError(f"cannot make the data directory {folder}: {error.strerror}") from None
    return missing


def _unmake(path: Path, folders: list[Path]) -> None:
    """Leave nothing half-made behind: the file that was not there before, and the folders made for it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            Path(f"{path}{suffix}").unlink()
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _way_out(path: Path, error: sqlite3.Error) -> str:
    if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
        return "another process holds it; end that one and try again"
    if path.is_dir():
        return "it is a directory; name a file in it"
    if path.exists():
        return "it must be an OnceKV store that this user may read and write; name another file"
    return "the data directory must be one that this user may write"
