"""The exactly-once client's memory: which calls it owes an answer, in a file that survives the client.

    put      the call is in the file with its identity before its first attempt leaves: a later process, or one with
             a copy of the file, asks for the same call again
    assign   the session's name, once it is open: from then on an attempt may have left (`unsend`: none has)
    settle   it is taken out before the reply is handed over, so that `acked` never passes a call that may be resumed

The file is SQLite with `synchronous=FULL`: each of these returns once the disk has it. Threads that come together share
one transaction: the first to get the writer's lock commits for all who wait. SQLite's exclusive mode keeps a second
process out, and lets it in the moment the first one dies; a lock file of our own would be one more thing to leave
behind.

Place on the way: beside `issuer`, between stub (1) and retry (2). Guarantee: a call put in is finished with its own
identity, or reported as unknown when the server's session is gone. Limits: the file must live, on a disk that keeps
what it confirmed, and belong to one server; a reply handed over just before a crash is not handed over again.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from oncerpc.client import fork
from oncerpc.client.session.session import Identity

__all__ = [
    "APPLICATION_ID",
    "CALLS_MAX",
    "SCHEMA_VERSION",
    "Entry",
    "Outbox",
    "OutboxBusy",
    "OutboxError",
    "OutboxInDoubt",
]

APPLICATION_ID = 0x4F4B564F  # "OKVO"
SCHEMA_VERSION = 2
CALLS_MAX = 10_000
"""Calls without a reply that one outbox holds: an outage shall fill neither the disk nor the next resume."""

WAY_OUT = "make a client with an outbox of its own in each process"

_FROM_1 = (
    "ALTER TABLE calls ADD COLUMN open_key TEXT",
    "UPDATE calls SET open_key = session WHERE session IS NOT NULL",  # never asked for: the name is known
    "UPDATE calls SET open_key = lower(hex(randomblob(24))), seq = 1 WHERE session IS NULL",
)
_SCHEMA = Path(__file__).with_name("outbox.sql")
_T = TypeVar("_T")


class OutboxError(Exception):
    """The outbox file cannot be used; one line names the cause."""


class OutboxInDoubt(OutboxError):
    """The disk failed while it was synced: whoever opens the file next may find the change, or not."""


class OutboxBusy(OutboxError):
    """Another client, in this process or another, has the outbox open."""


class Entry(NamedTuple):
    """A call in the outbox: `(key, seq)` is its identity. `session` is None while no attempt of it was ever sent."""

    id: int
    key: str
    session: str | None
    seq: int
    method: str
    params: bytes


class Outbox:
    """An open outbox file; safe for threads."""

    def __init__(self, path: str | Path) -> None:
        """Opens or makes the file. Raises OutboxError: busy, unwritable, not an outbox, or of a newer release."""
        self.path = Path(path)
        self._connection = _open(self.path)
        self._writer = threading.Lock()
        self._waiting: deque[_Write[Any]] = deque()
        self._is_open = True
        self._gone = f"{self.path} is closed"
        fork.watch(self)

    def after_fork(self) -> None:
        """The file is the parent's. SQLite takes the parent's lock for the child's own: were the child's copy of the
        connection ever closed, at its exit for example, it would delete the log that the parent still writes to.
        """
        if self._is_open:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))  # never freed
            self._gone = f"the outbox {self.path} belongs to the process that opened it, before a fork; {WAY_OUT}"
        self._is_open = False
        self._writer = threading.Lock()
        self._waiting.clear()

    @property
    def calls_begun(self) -> int:
        """How many calls were ever put in, by this process and all earlier ones."""
        return int(self._session_row("SELECT calls_begun FROM session")[0])

    def load(self) -> list[Entry]:
        """The calls that earlier processes left. Raises OutboxError where the file is damaged."""
        entries = self.entries()
        self._session_row("SELECT calls_begun FROM session")
        if any(not one.key or not _is_seq(one.seq) for one in entries):
            raise OutboxError(f"{self.path} is damaged: a call in it has no identity")
        return entries

    def entries(self) -> list[Entry]:
        """The calls without a reply, in the order in which they were put in."""
        rows = self._read("SELECT id, open_key, session, seq, method, CAST(params AS BLOB) FROM calls ORDER BY id")
        return [Entry(*row) for row in rows]

    def put(self, calls: Sequence[tuple[str, bytes, Identity]]) -> list[int]:
        """Puts calls in: method, params as JSON, identity; their ids."""

        def work(run: _Run) -> list[int]:
            held = run("SELECT count(*) FROM calls").fetchone()[0]
            if held + len(calls) > CALLS_MAX:
                raise OutboxError(f"{self.path} is full: {held} calls wait to be resumed")
            run("UPDATE session SET calls_begun = calls_begun + ?", len(calls))
            return [_insert(run, *call) for call in calls]

        return self._write(work)

    def assign(self, calls: Sequence[tuple[int, Identity]]) -> None:
        """Gives calls the names of their sessions, or other identities, before the first attempt under them leaves."""

        def work(run: _Run) -> None:
            for entry_id, (epoch, seq) in ((entry_id, (one.epoch, one.seq)) for entry_id, one in calls):
                statement = "UPDATE calls SET open_key = ?, session = ?, seq = ? WHERE id = ?"
                run(statement, epoch.key, epoch.name, seq, entry_id)

        self._write(work)

    def unsend(self, ids: Sequence[int]) -> None:
        """No attempt of these calls has left after all: whatever is refused later surely did not run."""

        def work(run: _Run) -> None:
            for entry_id in ids:
                run("UPDATE calls SET session = NULL WHERE id = ?", entry_id)

        self._write(work)

    def settle(self, ids: Sequence[int]) -> None:
        """Takes calls out: their replies are about to be handed over."""

        def work(run: _Run) -> None:
            for entry_id in ids:
                run("DELETE FROM calls WHERE id = ?", entry_id)

        self._write(work)

    def close(self) -> None:
        """Lets the file go. Every later use raises OutboxError."""
        with self._writer:
            if self._is_open:
                self._is_open = False
                self._connection.close()

    def _session_row(self, statement: str) -> Any:
        rows = self._read(statement)
        if not rows:
            raise OutboxError(f"{self.path} is damaged: its session is missing")
        return rows[0]

    def _read(self, statement: str, *values: Any) -> list[Any]:
        with self._writer:
            try:
                return self._run(statement, *values).fetchall()
            except sqlite3.Error as error:
                raise OutboxError(f"cannot read {self.path}: {error}") from None

    def _write(self, work: Callable[[_Run], _T]) -> _T:
        """Runs `work` in one transaction with everybody else's that waits; returns once it is durable."""
        write = _Write(work)
        self._waiting.append(write)
        with self._writer:
            if not write.is_done:
                self._commit([self._waiting.popleft() for _ in range(len(self._waiting))])
        return write.result()

    def _commit(self, batch: Sequence[_Write[Any]]) -> None:
        try:
            self._run("BEGIN IMMEDIATE")
            with self._connection:
                for write in batch:
                    write.run(self._run)
        except BaseException as error:
            failure = self._failure(error)
            for write in batch:
                write.fail(failure)
            if not isinstance(error, sqlite3.Error | OutboxError):
                raise
        for write in batch:
            write.is_done = True

    def _failure(self, error: BaseException) -> OutboxError:
        """What a batch is told. One whose sync failed stands in SQLite's log all the same, and would be found there
        when the process dies now; unless another transaction, a durable one, is written over it.
        """
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_FSYNC:
            try:
                self._run("BEGIN IMMEDIATE")
                with self._connection:
                    self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")  # it is that already; written all the same
            except (sqlite3.Error, OutboxError):
                return OutboxInDoubt(f"cannot sync {self.path}, which may hold the change or not: {error}")
        return OutboxError(f"cannot write {self.path}: {error}")

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if not self._is_open:
            raise OutboxError(self._gone)
        return self._connection.execute(statement, values)


_Run = Callable[..., sqlite3.Cursor]


class _Write(Generic[_T]):
    """One thread's part of a shared transaction. A refusal of its own (OutboxError) leaves the others alone."""

    def __init__(self, work: Callable[[_Run], _T]) -> None:
        self._work = work
        self._result: list[_T] = []
        self._error: OutboxError | None = None
        self.is_done = False

    def run(self, run: _Run) -> None:
        try:
            self._result = [self._work(run)]
        except OutboxError as refusal:
            self._error = refusal

    def fail(self, error: OutboxError) -> None:
        self._error = error
        self.is_done = True

    def result(self) -> _T:
        if self._error is not None:
            raise self._error
        return self._result[0]


def _insert(run: _Run, method: str, params: bytes, identity: Identity) -> int:
    epoch = identity.epoch
    statement = "INSERT INTO calls (open_key, session, seq, method, params) VALUES (?, ?, ?, ?, ?)"
    entry_id = run(statement, epoch.key, epoch.name, identity.seq, method, params.decode()).lastrowid
    assert entry_id is not None
    return entry_id


def _is_seq(seq: Any) -> bool:
    return type(seq) is int and seq >= 1


def _open(path: Path) -> sqlite3.Connection:
    try:
        _make_private(path)
        # Absolute, for SQLite gives the name ":memory:" a meaning of its own: no file, and nothing remembered.
        connection = sqlite3.connect(path.absolute(), timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise OutboxError(f"cannot open the outbox {path}: {error}") from None
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _check_or_make(connection, path)
    except sqlite3.Error as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise OutboxBusy(f"another client has the outbox {path} open; one at a time") from None
        raise OutboxError(f"cannot use {path} as an outbox: {error}") from None
    except OutboxError:
        connection.close()
        raise
    return connection


def _make_private(path: Path) -> None:
    """Makes the file, if it is not there, readable by its owner alone: it will hold the session's name.

    An existing one is not even opened: closing it would drop the locks that SQLite holds for another client here.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise OutboxError(f"the outbox {path} is not a file") from None


def _check_or_make(connection: sqlite3.Connection, path: Path) -> None:
    application_id, version = (_pragma(connection, name) for name in ("application_id", "user_version"))
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application_id != APPLICATION_ID and not (is_empty and application_id == 0):
        raise OutboxError(f"{path} is a database of another program; give the outbox a file of its own")
    if version > SCHEMA_VERSION:
        raise OutboxError(f"{path} was written by a newer release (schema {version}, here {SCHEMA_VERSION})")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN EXCLUSIVE")  # from here on the file is ours until it is closed
    if is_empty:
        for statement in _SCHEMA.read_text(encoding="utf-8").split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif version == 1:
        for statement in _FROM_1:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
