"""Many statements by one way there and back (step 10): PostgreSQL's extended protocol in libpq's pipeline mode.

    prepare?, execute, prepare?, execute, … sync  ─►
                                                  ◄─  rows, rows, …, ready

The first statement that fails is raised; the database has then skipped all behind it, a COMMIT among them, and rolls
back.

Psycopg has pipelines too, but sends a Flush behind the Sync, and with that PostgreSQL forgets the time that a
transaction may be idle, which is what takes its locks from a server that stands still. It also takes statements for
prepared that were skipped.
"""

from __future__ import annotations

import functools
import re
import select
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, pq

__all__ = ["Answer", "Pipeline", "Question"]

Question = tuple[str, Sequence[Any]]
"""A statement with `%b` for each of its values: bytes, integers, and lists of either."""

_BYTEA, _BIGINT = 17, 20
_ARRAY_HEAD = struct.Struct("!iiiii")  # dimensions, has nulls, type, length, lower bound
_EMPTY_ARRAY = struct.Struct("!iii")
_ELEMENT = struct.Struct("!i")
_BIGINT_ELEMENT = struct.Struct("!iq")
_BIGINT_VALUE = struct.Struct("!q")
_DONE = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}


class Answer(NamedTuple):
    """What a statement gave; `tag` is the database's word for what it did."""

    rows: list[tuple[Any, ...]]
    tag: bytes


class Pipeline:
    """The statements of one connection; each is prepared when it first comes."""

    def __init__(self, connection: pq.abc.PGconn) -> None:
        self._connection = connection
        self._prepared: dict[str, bytes] = {}
        self._fd = connection.socket
        self._readable = select.poll()
        self._readable.register(self._fd, select.POLLIN)
        self._either = select.poll()
        self._either.register(self._fd, select.POLLIN | select.POLLOUT)
        connection.nonblocking = 1
        connection.enter_pipeline_mode()

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers, in order. Raises psycopg.Error; if the connection still lives, it waits for a ROLLBACK then."""
        is_answer = [sent for question in questions for sent in self._send(*question)]
        self._connection.pipeline_sync()
        self._flush()
        results = [self._result() for _ in is_answer]
        self._end()
        for result in results:
            if result.status not in _DONE:
                raise errors.error_from_result(result, "utf-8")
        return [
            Answer(_rows(result), result.command_status or b"")
            for result, counts in zip(results, is_answer, strict=True)
            if counts
        ]

    def _send(self, sql: str, values: Sequence[Any]) -> Sequence[bool]:
        """What its results will be: of each, whether it is the answer."""
        if " " not in sql:  # BEGIN, COMMIT, ROLLBACK: nothing to prepare, and they are legible on their way
            self._connection.send_query_params(sql.encode(), None)
            return (True,)
        name = self._prepared.get(sql)
        is_new = name is None
        if name is None:
            name = self._prepared[sql] = b"oncekv%d" % len(self._prepared)
            self._connection.send_prepare(name, _numbered(sql))
        self._connection.send_query_prepared(name, [_encode(value) for value in values], [1] * len(values), 1)
        return (False, True) if is_new else (True,)

    def _flush(self) -> None:
        while self._connection.flush():
            self._either.poll()
            self._connection.consume_input()

    def _result(self) -> pq.abc.PGresult:
        result = self._next()
        if result is None:
            raise psycopg.OperationalError(self._connection.get_error_message())
        if self._next() is not None:
            raise psycopg.OperationalError("the answers are out of step")
        return result

    def _end(self) -> None:
        result = self._next()
        if result is None or result.status != pq.ExecStatus.PIPELINE_SYNC:
            raise psycopg.OperationalError(self._connection.get_error_message())

    def _next(self) -> pq.abc.PGresult | None:
        connection = self._connection
        while connection.is_busy():
            self._readable.poll()
            connection.consume_input()
        return connection.get_result()


@functools.cache
def _numbered(sql: str) -> bytes:
    """With $1, $2 … as the protocol has them."""
    count = iter(range(1, 100))
    return re.sub("%b", lambda _: f"${next(count)}", sql).encode()


def _encode(value: Any) -> bytes:
    """In binary form."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return _BIGINT_VALUE.pack(value)
    if not value:
        return _EMPTY_ARRAY.pack(0, 0, _BIGINT)
    if isinstance(value[0], int):
        return b"".join((
            _ARRAY_HEAD.pack(1, 0, _BIGINT, len(value), 1), *[_BIGINT_ELEMENT.pack(8, each) for each in value]
        ))  # fmt: skip
    parts = [_ARRAY_HEAD.pack(1, 0, _BYTEA, len(value), 1)]
    for each in value:
        parts += (_ELEMENT.pack(len(each)), each)
    return b"".join(parts)


def _integer(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


_DECODERS: dict[int, Callable[[bytes], Any]] = {
    16: lambda value: value != b"\0",
    _BYTEA: bytes,
    _BIGINT: _integer,
    23: _integer,
}


def _rows(result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
    columns = [(column, _DECODERS[result.ftype(column)]) for column in range(result.nfields)]
    value = result.get_value
    return [
        tuple(
            None if (found := value(row, column)) is None else decode(found)
            for column, decode in columns
        )
        for row in range(result.ntuples)
    ]  # fmt: skip
