"""SQLite (step 10): the embedded engine; one file, shared by the workers and servers of one machine.

Write-ahead log with `synchronous=FULL`: a commit returns after its fsync. `BEGIN IMMEDIATE` lets one writer in at
a time, over all processes, so a duplicate on another worker waits for the first and then finds its record.
Limit: one machine, and a disk that keeps what it has acknowledged.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from oncekv.server.config import StartupError
from oncekv.server.engine.storage.base import StoreBusy, StoreFailed, StoreRefused
from oncekv.server.engine.storage.sqlite_errors import FAILURES, cannot_open, code, reason
from oncekv.server.engine.storage.sqlite_files import (
    StoreFiles,
    check_rights,
    make_file,
    make_folder,
    parse_location,
    shown,
    unmake,
)
from oncekv.server.engine.storage.sqlite_log import has_log, log_damage
from oncekv.server.engine.storage.sqlite_queries import SqliteView

__all__ = [
    "APPLICATION_ID",
    "MIGRATING_ID",
    "SqliteStore",
    "check_location",
    "connect",
    "make_schema",
    "open_store",
    "prepare",
]

APPLICATION_ID = 0x4F4B5631  # "OKV1": tells our files from other programs'
MIGRATING_ID = 0x4F4B564D  # "OKVM": `oncekv migrate` has not come to its end in it
SCHEMA_VERSION = 3
NEW = ("schema.sql",)
"""The script of a new store; others bring an older one up to date, step by step."""
BUSY_TIMEOUT_S = 10.0
CHECK_TIMEOUT_S = 0.25
READERS_MAX = 2  # more only fight over the interpreter lock; measured
STATEMENTS_KEPT = 256


def check_location(location: str) -> None:
    """Raises UsageError when this names no file; nothing is opened."""
    parse_location(location)


def open_store(location: str) -> SqliteStore:
    """`location` is what follows `sqlite://`: a slash and the file's path, so an absolute path gives four slashes.

    Raises StartupError, and leaves nothing behind that was not there before.
    """
    path = parse_location(location)
    made: list[Path] = []
    is_new = False
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise StartupError(f"{shown(path)!r} is not a place for a store; name a file")
        made = _make_folder(path.parent)
        is_new = not path.is_dir() and make_file(path)
        check_rights(path)
        _check_log(path)
        with contextlib.closing(connect(path)) as connection:
            prepare(connection, path)
        return SqliteStore(path, made if is_new else None)
    except (sqlite3.Error, StoreRefused, OSError) as error:
        if is_new and code(error) != sqlite3.SQLITE_BUSY:
            unmake(path, made)
        raise StartupError(cannot_open(path, error)) from None


class SqliteStore:
    """The store in one SQLite file."""

    name = "sqlite"
    group_ops_max: int | None = None
    clock_pace_ms: int | None = None
    limits: Mapping[str, int] = MappingProxyType({})

    def __init__(self, path: Path, made: list[Path] | None = None) -> None:
        """`made`: the folders that were made for a file that is new; None if it was there before."""
        self._path = path
        self._made = made
        self._writer: sqlite3.Connection | None = _open(path)
        self._readers: list[sqlite3.Connection] = []
        self._readers_free = threading.Semaphore(READERS_MAX)
        try:
            self._files = StoreFiles(path)
        except BaseException:
            self.close()
            raise

    def boot(self) -> int:
        """Count one more start on this store; the new count. Raises StartupError: it is written, or nobody starts."""
        try:
            with self.write() as view:
                return view.boot()
        except (sqlite3.Error, StoreRefused, StoreFailed) as error:
            self.close()
            if self._made is not None and not isinstance(error, StoreBusy):
                unmake(self._path, self._made)
            raise StartupError(cannot_open(self._path, error)) from None

    @contextlib.contextmanager
    def read(self) -> Iterator[SqliteView]:
        """One of a bounded number of read connections, with a snapshot of what is committed."""
        with self._readers_free:
            connection = self._reader()
            try:
                connection.execute("BEGIN")
                yield SqliteView(connection)
            except (sqlite3.Error, StoreFailed) as error:
                if isinstance(error, sqlite3.Error) and code(error) not in FAILURES:
                    raise
                raise StoreRefused(reason(error)) from error  # a read that fails has begun nothing
            finally:
                if _roll_back(connection):
                    self._readers.append(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[SqliteView]:
        """The one write transaction; commits at the end, rolls back on any exception."""
        connection = self._begin()
        view = SqliteView(connection)
        try:
            yield view
            # A group that changed nothing (replays, refusals) owes the disk nothing.
            connection.execute("COMMIT" if view.changed else "ROLLBACK")
            if view.changed:
                self._files.check()
        except BaseException as error:
            if not _roll_back(connection):
                self._writer = None  # closed, for it would have held the store until the server ends
            if isinstance(error, StoreRefused) or code(error) in FAILURES:
                raise StoreFailed(reason(error)) from error
            raise

    def check(self, *, writes: bool) -> None:
        """See whether the files are in their places and, for `writes`, write what is there already.

        While another connection writes nothing is found out, and it counts as well.
        """
        self._files.check()
        if not writes:
            return
        try:
            with contextlib.closing(_open(self._path, CHECK_TIMEOUT_S)) as connection:
                # An UPDATE that changes no byte writes no page, and a full disk would pass for one that has room.
                connection.execute("BEGIN IMMEDIATE")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute(f"PRAGMA user_version = {version}")
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            if code(error) != sqlite3.SQLITE_BUSY:
                raise StoreFailed(reason(error)) from None

    def close(self) -> None:
        """Close all connections; the last one of the file writes the log back into it."""
        for connection in (*self._readers, self._writer):
            if connection is not None:
                connection.close()
        self._readers.clear()

    def _begin(self) -> sqlite3.Connection:
        """The writer's connection, in its transaction. Raises StoreRefused."""
        try:
            connection = self._writer or self._reopen()
            self._files.check()
            connection.execute("BEGIN IMMEDIATE")
            return connection
        except sqlite3.Error as error:
            if code(error) not in FAILURES:
                raise
            refusal = StoreBusy if code(error) == sqlite3.SQLITE_BUSY else StoreRefused
            raise refusal(reason(error)) from None

    def _reopen(self) -> sqlite3.Connection:
        """A new connection for the writer; were there no others, the log went with the one before, and is a new one."""
        self._files.check_store()
        self._writer = _open(self._path)
        self._files = StoreFiles(self._path)
        return self._writer

    def _reader(self) -> sqlite3.Connection:
        """A connection on the files that are in their places. Raises StoreRefused."""
        self._files.check()  # first: to open a store whose log is gone would make another log
        with contextlib.suppress(IndexError):
            return self._readers.pop()
        try:
            connection = _open(self._path)
        except sqlite3.Error as error:
            raise StoreRefused(reason(error)) from None
        try:
            self._files.check()
        except BaseException:
            connection.close()
            raise
        return connection


def _open(path: Path, timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """A connection that holds the store's files from now on, its log among them."""
    connection = connect(path, timeout_s)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, timeout_s: float = BUSY_TIMEOUT_S, *, is_exclusive: bool = False) -> sqlite3.Connection:
    """`is_exclusive`: nobody else has the file open while this connection uses it, or SQLITE_BUSY is raised."""
    # rw: whoever opens a store that is gone must not make an empty one in its place.
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_KEPT,
    )
    try:
        if is_exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        # A statement over many rows keeps what it needs to take itself back; by default in a file, from 64 KiB on.
        connection.execute("PRAGMA temp_store = MEMORY")
        # Four times SQLite's default, 16 MiB of log: over many keys the pages that are written back hardly overlap, and
        # each time ends with a sync of the whole file.
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
    except BaseException:
        connection.close()
        raise
    return connection


def _roll_back(connection: sqlite3.Connection) -> bool:
    """End its transaction, if it is in one. Where that fails the connection is closed: False."""
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        connection.close()
        return False
    return True


def _check_log(path: Path) -> None:
    """Raises StartupError where SQLite would pass over a part of the log that was committed. Changes nothing: a
    connection that may not write neither writes the log back nor removes it.
    """
    store = Path(os.path.realpath(path))
    if not has_log(store):
        return
    with contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if damage := log_damage(store):
            raise StartupError(f"the store {shown(path)} is damaged: {damage}; keep it as it is, and restore a backup")


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the schema in a new file, and bring an older one up to date; refuse a foreign file and a newer schema, and
    leave those untouched.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application == MIGRATING_ID:
            raise StartupError(f"{shown(path)}: a move into it is not over; run the same `oncekv migrate` again")
        if application != APPLICATION_ID and (tables or application or version):
            raise StartupError(f"{shown(path)} belongs to another program; name another file")
        if version > SCHEMA_VERSION:
            raise StartupError(
                f"{shown(path)} has schema {version}, this release knows {SCHEMA_VERSION}; use the newer release"
            )
        if version < SCHEMA_VERSION:
            steps = [f"schema-from-{older}.sql" for older in range(version, SCHEMA_VERSION)]
            make_schema(connection, APPLICATION_ID, steps if tables else NEW)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # of some errors, a full disk's among them, SQLite rolls back by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA journal_mode = WAL")


def make_schema(connection: sqlite3.Connection, application_id: int, steps: Sequence[str] = NEW) -> None:
    """Within the transaction that is open."""
    for step in steps:
        for statement in _script(step):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {application_id}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _script(name: str) -> list[str]:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").split(";\n")


def _make_folder(folder: Path) -> list[Path]:
    try:
        return make_folder(folder)
    except OSError as error:
        raise StartupError(f"cannot make the data directory {shown(folder)}: {error.strerror}") from None
