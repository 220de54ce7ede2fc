"""What SQLite's errors mean (step 10): which ones speak of the store and its disk, and the line that a user reads."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from oncekv.server.engine.storage.base import StoreBusy, StoreFailed
from oncekv.server.engine.storage.sqlite_files import shown

__all__ = ["FAILURES", "cannot_open", "code", "reason"]

# The store, its disk or its rights are not as they were. Other errors of SQLite are bugs, and get a traceback.
FAILURES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


def code(error: BaseException) -> int:
    """SQLite's primary error code; 0 for what is not an error of SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def reason(error: BaseException) -> str:
    """What SQLite says, and the name of its error where it says little."""
    name = getattr(error, "sqlite_errorname", "")
    return f"{error} ({name})" if code(error) == sqlite3.SQLITE_IOERR else str(error)


def cannot_open(path: Path, error: Exception) -> str:
    """One line for the user: what cannot be opened, why, and the way out."""
    why = error.strerror if isinstance(error, OSError) else reason(error)
    return f"cannot open the store {shown(path)}: {why}; {_way_out(path, error)}"


def _way_out(path: Path, error: BaseException) -> str:
    number = code(error.__cause__ if isinstance(error, StoreFailed) and error.__cause__ else error)
    if number == sqlite3.SQLITE_BUSY or isinstance(error, StoreBusy):
        return "another process holds it; end that one and try again"
    if number in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) or getattr(error, "errno", 0) == errno.ENOSPC:
        return "see that its disk is well and has room"
    if os.path.isdir(path):
        return "it is a directory; name a file in it"
    if os.path.exists(path):
        return "it must be an OnceKV store that this user may read and write; name another file"
    return "name a file in a data directory that this user may write"
