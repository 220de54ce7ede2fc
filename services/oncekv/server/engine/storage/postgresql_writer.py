"""A group's transaction on PostgreSQL (step 10): what it reads is locked, what it changes goes there in one portion.

    one way       begin, the group's mark, its sessions locked, then their records, its keys locked, the counters
    its calls     run here, in memory; what nobody foresaw is locked and read when it is asked for
    one way       all changes and COMMIT

Sessions come before keys and both in one order, so two servers seldom deadlock; where they do, one begins again. A key
that is absent cannot be locked: the transaction inserts it, or a row of version 0 that it removes again, and where
another server was faster that is refused, and the group begins again.

READ COMMITTED is enough, since nothing is decided by what is not locked: each statement sees all that was committed
before it, and records are read by a statement of their own, after the one that has waited for the session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from oncekv.kv.values import KEY_BYTES_MAX
from oncekv.server.engine.storage.base import Changes, Counters, KeyedRecord, Record, Row, Session, pack
from oncekv.server.engine.storage.postgresql_connection import LOCK_TIMEOUT_MS, Link
from oncekv.server.engine.storage.postgresql_group import MARK, Mark
from oncekv.server.engine.storage.postgresql_pipeline import Question
from oncekv.server.engine.storage.postgresql_queries import (
    COUNTERS,
    SESSION_RECORDS,
    PostgresqlView,
    counters_of,
    keyed_of,
    sessions_of,
)

__all__ = ["PostgresqlWriter"]

WRITE_MAX_S = LOCK_TIMEOUT_MS / 1000 + 2
EXPIRED_KEYED_PORTION = 500
VALUE_READ_AHEAD_BYTES = 4096

_LOCK_SESSIONS = """
SELECT number, name, lease_ms, expires_ms, acked FROM oncekv_session
WHERE name = ANY (%b::bytea[]) ORDER BY number FOR UPDATE
"""
_LOCK_ROWS = f"""
SELECT key, version, CASE WHEN octet_length(value) <= {VALUE_READ_AHEAD_BYTES} THEN value END FROM oncekv_kv
WHERE key = ANY (%b::bytea[]) ORDER BY key FOR UPDATE
"""  # noqa: S608 a constant of ours
_EXPIRED_SESSIONS = """
SELECT number, name, lease_ms, expires_ms, acked FROM oncekv_session
WHERE expires_ms <= %b ORDER BY expires_ms LIMIT %b FOR UPDATE SKIP LOCKED
"""
_FORESEEN_KEYED = """
SELECT kept.scope, kept.key, kept.answer, kept.expires_ms FROM oncekv_keyed AS kept
JOIN unnest(%b::bytea[], %b::bytea[]) AS asked (scope, key) ON kept.scope = asked.scope AND kept.key = asked.key
"""
_EXPIRED_KEYED = "SELECT 1 FROM oncekv_keyed WHERE expires_ms <= %b LIMIT 1"

_CREATE_ROWS = "INSERT INTO oncekv_kv SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bigint[])"
_UPDATE_ROWS = f"""{_CREATE_ROWS}
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version"""
_DELETE_ROWS = "DELETE FROM oncekv_kv WHERE key = ANY (%b::bytea[])"
_END_SESSIONS = "DELETE FROM oncekv_session WHERE number = ANY (%b::bigint[])"
_END_SESSION_RECORDS = """
DELETE FROM oncekv_record USING unnest(%b::bigint[]) AS ended (number)
WHERE place BETWEEN ended.number * 1024 AND ended.number * 1024 + 1023
"""
_OPEN_SESSIONS = """
INSERT INTO oncekv_session (number, name, lease_ms, expires_ms, acked)
SELECT * FROM unnest(%b::bigint[], %b::bytea[], %b::bigint[], %b::bigint[], %b::bigint[])
"""
_UPDATE_SESSIONS = """
UPDATE oncekv_session AS session SET expires_ms = changed.expires_ms, acked = changed.acked
FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[]) AS changed (number, expires_ms, acked)
WHERE session.number = changed.number
"""
_PUT_RECORDS = """
INSERT INTO oncekv_record SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[])
ON CONFLICT (place) DO UPDATE SET seq = excluded.seq, acked = excluded.acked, answer = excluded.answer
"""
_FORGET_RECORDS = "DELETE FROM oncekv_record WHERE place = ANY (%b::bigint[])"
_FORGET_KEYED = """
DELETE FROM oncekv_keyed WHERE (scope, key) IN (
    SELECT scope, key FROM oncekv_keyed WHERE expires_ms <= %b ORDER BY expires_ms LIMIT %b FOR UPDATE SKIP LOCKED)
"""
_MAKE_ROOM_KEYED = """
DELETE FROM oncekv_keyed AS kept USING unnest(%b::bytea[], %b::bytea[]) AS new (scope, key)
WHERE kept.scope = new.scope AND kept.key = new.key AND kept.expires_ms <= %b
"""
_PUT_KEYED = "INSERT INTO oncekv_keyed SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[])"
_COUNT = "UPDATE oncekv_count SET sessions = sessions + %b, records = records + %b WHERE shard = %b"


class PostgresqlWriter(PostgresqlView):
    """The transaction of one group."""

    _BEGIN = "BEGIN"
    _WITHIN_S = WRITE_MAX_S

    def __init__(self, link: Link, mark: Mark, new_number: Callable[[Link], int], shard: int) -> None:
        super().__init__(link)
        self.mark = mark
        self._new_number = new_number
        self._shard = shard
        self._sessions: dict[str, Session | None] = {}
        self._rows: dict[str, tuple[int, str | None]] = {}
        self._keyed: dict[tuple[bytes, str], KeyedRecord | None] = {}
        self._absent: set[str] = set()
        """Keys that were looked at, and are to stay absent until the commit unless this group makes them."""
        self._counters: Counters | None = None
        self.changes: Changes | None = None
        self.has_replayed = False
        """A record was read, so what it says is about to be told to somebody."""

    @property
    def has_begun(self) -> bool:
        return self._has_begun

    def foresee(self, names: Collection[str], keys: Collection[str], keyed: Collection[tuple[bytes, str]] = ()) -> None:
        about = self._about_sessions(names), self._about_rows(keys), _about_keyed(keyed)
        answers = self._ask_all([*about[0], *about[1], *about[2], (COUNTERS, ())])
        self._counters = counters_of(answers.pop())
        if about[2]:
            self._keyed = dict.fromkeys(keyed)
            self._keyed.update(((scope, key.decode()), keyed_of(*kept)) for scope, key, *kept in answers.pop())
        if about[1]:
            self._learn_rows(keys, answers.pop())
        if about[0]:
            self._learn_sessions(names, *answers)

    def sessions(self, names: Sequence[str]) -> list[Session]:
        if unknown := [name for name in names if name not in self._sessions]:
            self._learn_sessions(unknown, *self._ask_all(self._about_sessions(unknown)))
        return [session for name in names if (session := self._sessions[name])]

    def sessions_expired(self, now_ms: int, limit: int) -> list[Session]:
        found = self._ask(_EXPIRED_SESSIONS, (now_ms, limit))
        if not found:
            return []
        names = [name for _, name, *_ in found]
        records = self._ask(SESSION_RECORDS, (names,))
        # One that the group knows already is handed out as that object: what it has changed of it counts.
        return [self._sessions.setdefault(it.name, it) or it for it in sessions_of(found, records)]

    def rows(self, keys: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        if unknown := [key for key in keys if key not in self._rows and key not in self._absent and _fits(key)]:
            self._learn_rows(unknown, self._ask_all(self._about_rows(unknown))[0])
        return {key: self._rows[key] for key in keys if key in self._rows}

    def row(self, key: str) -> Row | None:
        found = self.rows([key]).get(key)
        if found is None:
            return None
        version, value = found
        return Row(value, version) if value is not None else super().row(key)

    def record(self, row_id: int) -> Record | None:
        self.has_replayed = True
        return super().record(row_id)

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        found = self._keyed[scope, key] if (scope, key) in self._keyed else super().keyed(scope, key)
        self.has_replayed = self.has_replayed or found is not None
        return found

    def keyed_expired(self, now_ms: int) -> bool:
        return bool(self._ask(_EXPIRED_KEYED, (now_ms,)))

    def counters(self) -> Counters:
        if self._counters is None:
            self._counters = super().counters()
        return self._counters

    def data_version(self) -> int | None:
        """Other servers write too, and nothing says whether they did."""

    def new_session_number(self, counted: int) -> int:  # noqa: ARG002 a sequence counts for all servers
        return self._new_number(self._link)

    def apply(self, changes: Changes) -> None:
        """Kept until the commit, which goes with them."""
        self.changes = changes

    def statements(self) -> list[Question]:
        """What is written. A duplicate key in it means that another server was faster."""
        changes = self.changes
        if changes is None:
            return []
        return [
            *self._row_statements(changes),
            *_session_statements(changes),
            *_record_statements(changes),
            *_keyed_statements(changes),
            *self._count_statements(changes),
        ]

    def _begin(self) -> Sequence[Question]:
        return () if self._has_begun else ((self._BEGIN, ()), (MARK, self.mark.values))

    def _about_sessions(self, names: Collection[str]) -> list[Question]:
        if not names:
            return []
        encoded = [name.encode() for name in names]
        return [(_LOCK_SESSIONS, (encoded,)), (SESSION_RECORDS, (encoded,))]

    def _about_rows(self, keys: Collection[str]) -> list[Question]:
        encoded = [key.encode() for key in keys if _fits(key)]
        return [(_LOCK_ROWS, (encoded,))] if encoded else []

    def _learn_sessions(self, names: Collection[str], found: Sequence[Any], records: Sequence[Any]) -> None:
        self._sessions.update(dict.fromkeys(names))
        self._sessions.update((session.name, session) for session in sessions_of(found, records))

    def _learn_rows(self, keys: Collection[str], found: Sequence[tuple[Any, ...]]) -> None:
        for key, version, value in found:
            self._rows[key.decode()] = (version, None if value is None else value.decode())
        self._absent.update(key for key in keys if key not in self._rows and _fits(key))

    def _row_statements(self, changes: Changes) -> list[Question]:
        rows = changes.rows
        made = [(key, rows.get(key)) for key in sorted(self._absent)]
        written = [(key, row) for key, row in rows.items() if row is not None and key not in self._absent]
        deleted = [key for key, row in rows.items() if row is None and key not in self._absent]
        deleted += [key for key, row in made if row is None]
        statements: list[Question] = []
        if made:
            statements.append((_CREATE_ROWS, _columns([(key, row or Row("", 0)) for key, row in made])))
        if written:
            statements.append((_UPDATE_ROWS, _columns(written)))
        if deleted:
            statements.append((_DELETE_ROWS, ([key.encode() for key in deleted],)))
        return statements

    def _count_statements(self, changes: Changes) -> list[Question]:
        before, after = self._counters, changes.counters
        if before is None or after is None:
            return []
        delta = (after.sessions - before.sessions, after.records - before.records)
        return [(_COUNT, (*delta, self._shard))] if any(delta) else []


def _fits(key: str) -> bool:
    """A longer one is refused before anybody looks at it; it would not fit an index either."""
    return len(key.encode()) <= KEY_BYTES_MAX


def _about_keyed(keyed: Collection[tuple[bytes, str]]) -> list[Question]:
    if not keyed:
        return []
    return [(_FORESEEN_KEYED, ([scope for scope, _ in keyed], [key.encode() for _, key in keyed]))]


def _columns(rows: Sequence[tuple[str, Row]]) -> tuple[list[bytes], list[bytes], list[int]]:
    return (
        [key.encode() for key, _ in rows],
        [row.value.encode() for _, row in rows],
        [row.version for _, row in rows],
    )


def _session_statements(changes: Changes) -> list[Question]:
    statements: list[Question] = []
    if changes.ended:
        ended = sorted(changes.ended)
        statements += [(_END_SESSIONS, (ended,)), (_END_SESSION_RECORDS, (ended,))]
    if changes.opened:
        rows = [(it.number, it.name.encode(), it.lease_ms, it.expires_ms, it.acked) for it in changes.opened.values()]
        statements.append((_OPEN_SESSIONS, _transposed(rows)))
    if changes.sessions:
        changed = [(it.number, it.expires_ms, it.acked) for it in changes.sessions.values()]
        statements.append((_UPDATE_SESSIONS, _transposed(changed)))
    return statements


def _record_statements(changes: Changes) -> list[Question]:
    statements: list[Question] = []
    if changes.records:
        statements.append((_PUT_RECORDS, _transposed(changes.records.values())))
    if changes.forgotten:
        statements.append((_FORGET_RECORDS, (changes.forgotten,)))
    return statements


def _keyed_statements(changes: Changes) -> list[Question]:
    statements: list[Question] = []
    if changes.keyed_expired_ms is not None:
        statements.append((_FORGET_KEYED, (changes.keyed_expired_ms, EXPIRED_KEYED_PORTION)))
    if changes.keyed:
        rows = [
            (scope, key.encode(), pack(kept.fingerprint, kept.reply), kept.expires_ms)
            for (scope, key), kept in sorted(changes.keyed.items())
        ]
        scopes, keys, answers, expiries = _transposed(rows)
        statements.append((_MAKE_ROOM_KEYED, (scopes, keys, changes.now_ms)))
        statements.append((_PUT_KEYED, (scopes, keys, answers, expiries)))
    return statements


def _transposed(rows: Collection[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))
