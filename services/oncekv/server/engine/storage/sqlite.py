"""SQLite (10): the embedded engine; one file, shared by the workers and servers of one machine.

Write-ahead log with `synchronous=FULL`: a commit returns after its fsync. `BEGIN IMMEDIATE` lets one writer in at
a time, over all processes, so a duplicate on another worker waits for the first and then finds its record.
Limit: one machine, and a disk that keeps what it has acknowledged.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from urllib.parse import unquote_to_bytes

from oncekv.server.config import StartupError
from oncekv.server.engine.storage.base import StoreBusy
from oncekv.server.engine.storage.sqlite_queries import SqliteView

__all__ = ["SqliteStore", "open_store"]

APPLICATION_ID = 0x4F4B5631  # "OKV1": tells our files from other programs'
SCHEMA_VERSION = 2
BUSY_TIMEOUT_S = 10.0
READERS_MAX = 2  # more only fight over the interpreter lock; measured
STATEMENTS_KEPT = 256


def open_store(location: str) -> SqliteStore:
    """`location` is what follows `sqlite://`: a slash and the file's path, so an absolute path gives four slashes."""
    if not location.startswith("/") or len(location) < 2:
        raise StartupError("a SQLite store is given as sqlite:///FILE (sqlite:////abs/olute/FILE)")
    path = Path(os.fsdecode(unquote_to_bytes(os.fsencode(location[1:]))))  # file names are bytes, not UTF-8 always
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
                yield SqliteView(connection)
            finally:
                if connection.in_transaction:
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
        view = SqliteView(connection)
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


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_KEPT
    )
    connection.execute("PRAGMA synchronous = FULL")
    # A statement over many rows keeps what it needs to take itself back; by default in a file, from 64 KiB on.
    connection.execute("PRAGMA temp_store = MEMORY")
    # Four times SQLite's default, 16 MiB of log: over many keys the pages that are written back hardly overlap, and
    # each time ends with a sync of the whole file.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the schema in a new file, and bring an older one up to date; refuse a foreign file and a newer schema, and
    leave those untouched.
    """
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
        if version < SCHEMA_VERSION:
            for statement in _script("schema.sql" if not tables else f"schema-from-{version}.sql"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA journal_mode = WAL")


def _script(name: str) -> list[str]:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").split(";\n")


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
