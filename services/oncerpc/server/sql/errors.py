"""What a driver's error says: the database gave this transaction up for another one, waited too long, or went away."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

__all__ = ["is_busy", "is_conflict", "is_refused_rights", "is_surely_undone", "one_line", "sqlstate"]

_CONFLICTS = {"40001", "40P01"}
"""serialization_failure, deadlock_detected."""
_BUSY = {"55P03"}
"""lock_not_available: lock_timeout was over."""
_ENDED_IDLE, _UNKNOWN = "25P03", "40003"
"""idle_in_transaction_session_timeout, statement_completion_unknown."""
_RIGHTS = {"42501", "25006"}
"""insufficient_privilege, read_only_sql_transaction."""


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five characters, of whichever driver; empty where there are none."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    for name in ("sqlstate", "pgcode"):
        found = getattr(cause, name, None)
        if isinstance(found, str):
            return found
    details = cause.args[0] if cause.args else None
    return str(details.get("C", "")) if isinstance(details, dict) else ""


def is_conflict(error: BaseException) -> bool:
    """Rolled back for the sake of another transaction: the whole of it may be run again."""
    return sqlstate(error) in _CONFLICTS or _sqlite_code(error) == sqlite3.SQLITE_BUSY_SNAPSHOT


def is_busy(error: BaseException) -> bool:
    """The lock that was waited for did not come within the bound."""
    return sqlstate(error) in _BUSY or _sqlite_code(error) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_surely_undone(error: BaseException) -> bool:
    """A COMMIT failed with this, and the server itself has said so: a deferred constraint, say, or it had ended the
    session before COMMIT came. Where the connection broke nobody has said anything.
    """
    state = sqlstate(error)
    is_alive = isinstance(error, DBAPIError) and not error.connection_invalidated
    return state == _ENDED_IDLE or (bool(state) and is_alive and state != _UNKNOWN)


def is_refused_rights(error: BaseException) -> bool:
    """The database user may not do it."""
    return sqlstate(error) in _RIGHTS or _sqlite_code(error) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


def one_line(error: BaseException) -> str:
    """The driver's own words, on one line."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split()) or type(cause).__name__


def _sqlite_code(error: BaseException) -> int:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return getattr(cause, "sqlite_errorcode", 0) or 0
