"""The transaction of one attempt: the Connection that a handler is given, which only the library may end.

The handler's writes and the dedup record are to be committed together, so whoever ends the transaction in between gets
an error, and nothing stays. A session that rolls back because an exception passes through it may do so: the exception
decides what becomes of the call.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine

from oncerpc.server.sql.errors import is_conflict

__all__ = ["Transaction", "TransactionEnded"]

_MAY_END = re.compile(r"\b(commit|rollback|begin|start|end|abort|prepare|drop|alter|deallocate|discard)\b", re.I)
"""What may end a transaction, or make a driver forget what is prepared."""
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
        self.has_mark = False
        """The savepoint behind which the handler runs is there."""
        self.has_prepared = False
        """What was prepared on the connection for the record is still there, as far as can be seen."""
        self.at_commit: Callable[[], object] | None = None
        """The last of what is to be committed, and COMMIT, where the two go as one message."""
        self._own_cursor: Any = None
        self._is_handed_out = self._is_over = False

    @contextlib.contextmanager
    def handed_out(self) -> Iterator[None]:
        """For as long as a handler has it, nobody may end it."""
        self._is_handed_out = True
        try:
            yield
        finally:
            self._is_handed_out = False

    def finish(self) -> None:
        """Commit."""
        if self.at_commit is not None:
            self.at_commit()
        super().commit()
        self._is_over = True

    def undo(self) -> None:
        """Roll back, whatever state it is in, and give the connection back."""
        if self._own_cursor is not None:
            self._own_cursor.close()
            self._own_cursor = None
        try:
            current = self._transaction
            is_open = current is not None and current.is_active and not self.ended_by
            if not (self._is_over or is_open or self.closed or self.invalidated):
                # A commit failed or was refused, or a handler went on after an end: SQLAlchemy takes the transaction
                # for over and would give the connection back to the pool as it is.
                self.connection.rollback()
        finally:
            super().close()

    def commit(self) -> None:
        if self._is_handed_out:
            self._refuse("tx.commit()")
        super().commit()

    def rollback(self) -> None:
        if self._is_handed_out:
            self._end("tx.rollback()")
        else:
            super().rollback()

    def close(self) -> None:
        if self._is_handed_out:
            self._refuse("tx.close()")
        super().close()

    def run(self, statement: str, params: tuple[Any, ...]) -> int:
        """A statement of the library's own, in the driver's paramstyle; how many rows it has changed.

        By the driver's own cursor: SQLAlchemy's way costs three times as much, and every retry-safe call would pay it.
        """
        return self._do(statement, params, fetches=False)[0]

    def rows(self, statement: str, params: tuple[Any, ...] = ()) -> Sequence[tuple[Any, ...]]:
        """The same; the rows that it gives."""
        return self._do(statement, params, fetches=True)[1]

    def row(self, statement: str, params: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        """The first of them."""
        found = self.rows(statement, params)
        return found[0] if found else None

    def _do(self, statement: str, params: tuple[Any, ...], *, fetches: bool) -> tuple[int, Sequence[tuple[Any, ...]]]:
        cursor = self._own_cursor
        if cursor is None:
            cursor = self._own_cursor = self.connection.cursor()
        try:
            cursor.execute(statement, params)
            return cursor.rowcount, cursor.fetchall() if fetches else ()
        except self.dialect.loaded_dbapi.Error as error:
            self._own_cursor = None
            self.failed(error, statement, params, cursor)

    def failed(self, error: BaseException, statement: str, params: Any = (), cursor: Any = None) -> NoReturn:
        """Raises a driver's error as SQLAlchemy does."""
        self._handle_dbapi_exception(error, statement, params, cursor, None)
        raise error

    def _execute_context(self, dialect: Any, constructor: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Every statement passes here, whoever made it."""
        if self._is_handed_out:
            self._look(statement if isinstance(statement, str) else statement.string)
        return super()._execute_context(dialect, constructor, statement, *args, **kwargs)

    def _handle_dbapi_exception(self, e: BaseException, *args: Any, **kwargs: Any) -> Any:
        if is_conflict(e):
            self.conflict = e
        return super()._handle_dbapi_exception(e, *args, **kwargs)

    def _commit_impl(self) -> None:
        if self._is_handed_out:
            self._refuse("commit()")
        super()._commit_impl()

    def _rollback_to_savepoint_impl(self, name: str) -> None:
        self.has_prepared = False  # psycopg forgets then
        super()._rollback_to_savepoint_impl(name)

    def _rollback_impl(self) -> None:
        if self._is_handed_out:
            self._end("rollback()")
            return
        super()._rollback_impl()

    def _look(self, statement: str) -> None:
        found = _MAY_END.search(statement)
        if not found:
            return
        self.has_prepared = False
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
