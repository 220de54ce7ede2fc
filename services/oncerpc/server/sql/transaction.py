"""The transaction of one attempt: the Connection that a handler is given, which only the library may end.

The handler's writes and the dedup record are to be committed together, so whoever ends the transaction in between gets
an error, and nothing stays. A session that rolls back because an exception passes through it may do so: the exception
decides what becomes of the call.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import CursorResult

from oncerpc.server.sql.errors import is_conflict

__all__ = ["Transaction", "TransactionEnded"]

_MAY_END = re.compile(r"\b(commit|rollback|begin|start|end|abort|prepare)\b", re.I)
_ENDS = re.compile(
    r"\s*(commit|rollback(?!\s+(work\s+|transaction\s+)?to\b)|begin|start\s+transaction|end|abort|prepare\s+transaction)\b",
    re.I,
)
_NO_CODE = re.compile(
    r"""\be'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$""", re.I | re.S
)
"""Constants, quoted names and comments."""
_HAS_BODY = re.compile(r"\s*create\b.*\b(trigger|function|procedure)\b", re.I | re.S)
"""What stands behind a semicolon there may be the body's own."""


class TransactionEnded(RuntimeError):
    """A handler has ended the transaction that its writes and the dedup record are to be committed in together."""

    def __init__(self, how: str) -> None:
        super().__init__(
            f"{how} ends the transaction that the dedup record belongs to; leave it out: what was written is committed "
            "when the handler returns and rolled back when it raises (use tx.begin_nested() for a part of it)"
        )


class Transaction(Connection):
    """A SQLAlchemy Connection inside one transaction."""

    inherit_cache = True

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.conflict: BaseException | None = None
        """The database broke the transaction off for the sake of another one."""
        self.ended_by = ""
        """How the handler has ended it; empty while it has not."""
        self._is_ours = False

    def start(self) -> None:
        """Begin; an engine with a "begin" event of its own may say BEGIN here."""
        self._is_ours = True
        super().begin()
        self._is_ours = False

    def finish(self) -> None:
        """Commit."""
        self._is_ours = True
        super().commit()

    def undo(self) -> None:
        """Roll back, whatever state it is in, and give the connection back."""
        self._is_ours = True
        try:
            current = self._transaction
            if not self.closed and not self.invalidated and (current is None or not current.is_active):
                # A commit failed or was refused, or a handler went on after an end: SQLAlchemy takes the transaction
                # for over and would give the connection back to the pool as it is.
                self.connection.rollback()
        finally:
            super().close()

    def commit(self) -> None:
        self._refuse("tx.commit()")

    def rollback(self) -> None:
        self._end("tx.rollback()")

    def close(self) -> None:
        if not self._is_ours:
            self._refuse("tx.close()")
        super().close()

    def run(self, statement: str, params: tuple[Any, ...]) -> CursorResult[Any]:
        """A statement of the library's own, in the driver's paramstyle."""
        return self.exec_driver_sql(statement, params)

    def _execute_context(self, dialect: Any, constructor: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Every statement passes here, whoever made it."""
        if not self._is_ours:
            self._look(statement if isinstance(statement, str) else statement.string)
        return super()._execute_context(dialect, constructor, statement, *args, **kwargs)

    def _handle_dbapi_exception(self, e: BaseException, *args: Any, **kwargs: Any) -> Any:
        if is_conflict(e):
            self.conflict = e
        return super()._handle_dbapi_exception(e, *args, **kwargs)

    def _commit_impl(self) -> None:
        if not self._is_ours:
            self._refuse("commit()")
        super()._commit_impl()

    def _rollback_impl(self) -> None:
        if not self._is_ours:
            self._end("rollback()")
            return
        super()._rollback_impl()

    def _look(self, statement: str) -> None:
        if not _MAY_END.search(statement):
            return
        code = _NO_CODE.sub(" ", statement)
        for part in [code] if _HAS_BODY.match(code) else code.split(";"):
            if found := _ENDS.match(part):
                self._refuse(found[1].upper())

    def _end(self, how: str) -> None:
        """A rollback: on the way of an exception it is right, and the exception says what becomes of the call."""
        if sys.exc_info()[0] is None:
            self._refuse(how)
        if not self.ended_by:
            self.ended_by = how
            super()._rollback_impl()

    def _refuse(self, how: str) -> None:
        self.ended_by = how
        raise TransactionEnded(how)
