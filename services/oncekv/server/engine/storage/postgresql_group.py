"""What became of a commit that got no answer (step 10): each group's transaction leaves a mark, and whoever is in doubt
tries to write the same mark.

    the group's transaction   mark (writer, number)            … COMMIT, and the connection dies
    the lookup                the same mark, as a fence        waits for the group's, if that is still in flight

If the group was committed, its mark is met. If it was not, the fence stands, and the group's transaction, should a part
of it still lie in a buffer somewhere, can never commit. So the answer is certain, whichever it is.

A commit whose wait for a synchronous standby was cancelled is in doubt as well: it stands on the primary alone. The
lookup ends with a commit of its own, which waits for the standby, and what the standby has of that it has of everything
before.

Limit: when the database is away for longer than LOOKUP_MAX_S nobody is told more than that nobody can tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import psycopg

from oncekv.server.engine.storage.base import StoreFailed, StoreRefused
from oncekv.server.engine.storage.postgresql_connection import Link
from oncekv.server.engine.storage.postgresql_queries import NOW_MS

__all__ = ["FORGET_MARKS", "FORGET_OLD_MARKS", "MARK", "Mark", "Marks", "was_committed"]

LOOKUP_MAX_S = 10.0
LOOKUP_PAUSE_S = 0.1
LOOKUP_ASK_MAX_S = 8.0
KEPT_MAX = 64
MARKS_KEPT_MS = 24 * 60 * 60 * 1000

MARK = f"INSERT INTO oncekv_group VALUES (%b, %b, false, {NOW_MS})"  # noqa: S608 a constant of ours
_FENCE = f"""
INSERT INTO oncekv_group VALUES (%b, %b, true, {NOW_MS}) ON CONFLICT (writer, number) DO NOTHING
"""  # noqa: S608 a constant of ours
_IS_FENCE = "SELECT fence FROM oncekv_group WHERE writer = %b AND number = %b"
FORGET_MARKS = "DELETE FROM oncekv_group WHERE writer = %b AND number = ANY (%b::bigint[])"
FORGET_OLD_MARKS = f"DELETE FROM oncekv_group WHERE made_ms < {NOW_MS} - {MARKS_KEPT_MS}"  # noqa: S608 constants of ours
"""Those of servers that are no more; whoever is still in doubt after a day has told its callers long ago."""


class Mark(NamedTuple):
    """Of one transaction: `writer` is a process, `number` counts its transactions."""

    writer: int
    number: int

    @property
    def values(self) -> tuple[int, int]:
        return (self.writer, self.number)


class Marks:
    """The marks of one process: each is new, and those that stand in nobody's doubt are forgotten, many at once."""

    def __init__(self, writer: int) -> None:
        self.writer = writer
        self._number = 0
        self._settled: list[int] = []

    def new(self) -> Mark:
        self._number += 1
        return Mark(self.writer, self._number)

    def settle(self, mark: Mark) -> None:
        """What became of it is known."""
        self._settled.append(mark.number)

    def to_forget(self) -> list[int]:
        """Numbers to delete in this transaction; empty until there are many."""
        return self._settled[:KEPT_MAX] if len(self._settled) >= KEPT_MAX else []

    def forgotten(self, numbers: list[int]) -> None:
        """They were deleted."""
        if numbers:
            del self._settled[: len(numbers)]


def was_committed(mark: Mark, marks: Marks, connect: Callable[[], Link]) -> bool:
    """Whether the mark's transaction was committed, and if it was, also where a standby keeps it.

    Waits for it if it is in flight. Raises StoreFailed where nobody can tell within the bound.
    """
    give_up_s = time.monotonic() + LOOKUP_MAX_S
    while True:
        try:
            return _look_up(mark, marks.new(), connect)
        except (StoreRefused, psycopg.Error, _Unconfirmed) as error:
            if time.monotonic() > give_up_s:
                raise StoreFailed("a commit got no answer, and its outcome could not be looked up") from error
        time.sleep(LOOKUP_PAUSE_S)


class _Unconfirmed(Exception):
    """The lookup's own commit did not wait for the standby either."""


def _look_up(mark: Mark, own: Mark, connect: Callable[[], Link]) -> bool:
    link = connect()
    try:
        with link.within(LOOKUP_ASK_MAX_S):
            link.ask("BEGIN")
            link.ask(_FENCE, mark.values)
            ((is_fence,),) = link.ask(_IS_FENCE, mark.values)
            link.ask(MARK, own.values)
            link.warnings.clear()
            link.ask("COMMIT")
            if link.warnings:
                raise _Unconfirmed(link.warnings[0])
            return not is_fence
    finally:
        link.close()
