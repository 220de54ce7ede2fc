"""What PostgreSQL is asked (step 10): the reads, each view within one snapshot of what is committed.

Arrays go there and rows come back in binary form; a statement over any number of rows has one text, so it is prepared
once for a connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from oncekv.server.engine.storage.base import Counters, KeyedRecord, Record, Row, Session, unpack
from oncekv.server.engine.storage.postgresql_connection import Link
from oncekv.server.engine.storage.postgresql_pipeline import Question
from oncekv.server.engine.storage.record_slots import SLOTS, Slots
from oncerpc.wire.errors import TooLarge

__all__ = ["COUNTERS", "NOW_MS", "SESSION_RECORDS", "PostgresqlView", "counters_of", "keyed_of", "sessions_of"]

READ_MAX_S = 5.0
COUNTERS_MAX_S = 1.0  # readiness asks for them, and is to find out soon
PAGE_PORTION = 64

assert SLOTS == 1024, "the statements below say 1024, as the schema does"

NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
"""The database's own clock."""
COUNTED_MAX_MS = 1000  # of a longer time in which nobody saved the clock, no server ran, or the wall clock jumped
COUNTERS = f"""
SELECT clock.clock_ms + LEAST(GREATEST({NOW_MS} - clock.saved_ms, 0), {COUNTED_MAX_MS})::bigint,
    counted.sessions, counted.records
FROM oncekv_clock AS clock,
    (SELECT sum(sessions)::bigint AS sessions, sum(records)::bigint AS records FROM oncekv_count) AS counted
"""  # noqa: S608 constants of this package
SESSION_RECORDS = """
SELECT session.number, record.place, record.seq, record.acked
FROM oncekv_session AS session
JOIN oncekv_record AS record ON record.place BETWEEN session.number * 1024 AND session.number * 1024 + 1023
WHERE session.name = ANY (%b::bytea[])
"""
_SESSIONS = "SELECT number, name, lease_ms, expires_ms, acked FROM oncekv_session WHERE name = ANY (%b::bytea[])"
_ROW = "SELECT value, version FROM oncekv_kv WHERE key = %b AND version > 0"
_RECORD = "SELECT answer FROM oncekv_record WHERE place = %b"
_KEYED = "SELECT answer, expires_ms FROM oncekv_keyed WHERE scope = %b AND key = %b"
_PAGE = """
SELECT key, value, version FROM oncekv_kv WHERE key >= %b AND key > %b AND version > 0 ORDER BY key LIMIT %b
"""


class PostgresqlView:
    """Reads on one connection, in a transaction that begins with the first of them."""

    _BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    _WITHIN_S = READ_MAX_S

    def __init__(self, link: Link) -> None:
        self._link = link
        self._has_begun = False

    def row(self, key: str) -> Row | None:
        for value, version in self._ask(_ROW, (key.encode(),)):
            return Row(value.decode(), version)
        return None

    def page(self, prefix: str, after: str, limit: int, bytes_max: int) -> list[tuple[str, Row]]:
        found: list[tuple[str, Row]] = []
        size, first, last = 0, prefix.encode(), after.encode()
        while True:
            portion = self._ask(_PAGE, (first, last, PAGE_PORTION))
            for key, value, version in portion:
                # Keys with one prefix stand together, so the first other key ends them.
                if len(found) == limit or not key.startswith(first):
                    return found
                size += len(key) + len(value)
                if size > bytes_max:
                    raise TooLarge(f"the page would have over {bytes_max} bytes; ask for fewer keys with limit")
                found.append((key.decode(), Row(value.decode(), version)))
            if len(portion) < PAGE_PORTION:
                return found
            last = portion[-1][0]

    def sessions(self, names: Sequence[str]) -> list[Session]:
        encoded = [name.encode() for name in names]
        found, records = self._ask_all([(_SESSIONS, (encoded,)), (SESSION_RECORDS, (encoded,))])
        return sessions_of(found, records)

    def record(self, row_id: int) -> Record | None:
        for (answer,) in self._ask(_RECORD, (row_id,)):
            return unpack(answer)
        return None

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        for answer, expires_ms in self._ask(_KEYED, (scope, key.encode())):
            return keyed_of(answer, expires_ms)
        return None

    def counters(self) -> Counters:
        return counters_of(self._ask_all([(COUNTERS, ())], COUNTERS_MAX_S)[0])

    def end(self) -> None:
        """Let the snapshot go."""
        if self._has_begun:
            self._ask("ROLLBACK")
            self._has_begun = False

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        (rows,) = self._ask_all([(sql, values)])
        return rows

    def _ask_all(self, questions: Sequence[Question], within_s: float | None = None) -> list[list[tuple[Any, ...]]]:
        """All rows of each, by one way there and back. Raises what the error means (`Link.translated`)."""
        begin = self._begin()
        try:
            with self._link.within(within_s or self._WITHIN_S):
                answers = self._link.ask_all([*begin, *questions])
        except psycopg.Error as error:
            raise self._link.translated(error) from error
        self._has_begun = True
        return [answer.rows for answer in answers[len(begin) :]]

    def _begin(self) -> Sequence[Question]:
        """What comes before the first question."""
        return () if self._has_begun else ((self._BEGIN, ()),)


def sessions_of(found: Iterable[tuple[Any, ...]], records: Iterable[tuple[Any, ...]]) -> list[Session]:
    """Sessions, each with where its records stand and the highest watermark that is known of it."""
    kept: dict[int, dict[int, int]] = {}
    carried: dict[int, int] = {}
    for number, place, seq, acked in records:
        kept.setdefault(number, {})[seq] = place - number * SLOTS
        carried[number] = max(acked, carried.get(number, 0))
    return [
        Session(
            number, name.decode(), lease_ms, expires_ms, max(acked, carried.get(number, 0)), Slots(kept.get(number, {}))
        )
        for number, name, lease_ms, expires_ms, acked in found
    ]


def counters_of(rows: Sequence[tuple[Any, ...]]) -> Counters:
    """Sessions are numbered by a sequence, so nobody counts those that were ever opened."""
    ((clock_ms, sessions, records),) = rows
    return Counters(clock_ms, 0, sessions, records)


def keyed_of(answer: bytes, expires_ms: int) -> KeyedRecord:
    """A record under an Idempotency-Key."""
    return KeyedRecord(*unpack(answer), expires_ms)
