"""`oncekv backup` for SQLite (step 10): one consistent copy, with sessions and records, while a server goes on.

SQLite copies one snapshot; readers and the writer do not wait for it. The copy is of a later epoch than its source, so
a server that is started on it knows which sessions are older: their recorded calls are answered, and a call that it
does not know is refused as `session_unknown`, since it may have run after the backup. Guarantee: the file is there when
the whole copy is durable and verified, or not at all. Limit: what was acknowledged after it is not in it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from oncekv.server.engine.storage.sqlite_verify import Report, verify

__all__ = ["BackupFailed", "back_up"]


class BackupFailed(Exception):
    """There is no backup; the message says why."""


def back_up(source: Path, target: Path) -> Report:
    """Copy the store to a file that is not there yet; what is in it. Raises BackupFailed, sqlite3.Error and OSError."""
    partial = target.with_name(f"{target.name}.partial")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        _copy(source, partial)
        report = verify(partial)
        if report.findings:
            raise BackupFailed(f"the copy is not sound: {report.findings[0]}; see `oncekv verify` of the store")
        _sync(partial)
        os.link(partial, target)  # and not a rename, which would replace what somebody has put there
        _sync(target.parent)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{partial}{suffix}")
    return report


def _copy(source: Path, partial: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=10)) as store,
        contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as copy,
    ):
        store.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file; a server that is started on it makes a log again
        copy.execute("UPDATE tally SET epoch = epoch + 1")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
