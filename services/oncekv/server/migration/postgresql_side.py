"""A PostgreSQL database as a source or a target: rows are streamed, and a batch is one transaction.

Until the end a table `oncekv_migration` stands beside the others; servers refuse a database that has it. Whoever writes
a batch changes the progress that it has read there, so of two moves into one database one is refused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from oncekv.server.config import StartupError
from oncekv.server.engine.storage.postgresql import SESSION_BLOCK
from oncekv.server.engine.storage.postgresql_errors import explain
from oncekv.server.engine.storage.postgresql_setup import MIGRATION_TABLE, SCHEMA_VERSION, make_tables
from oncekv.server.engine.storage.postgresql_url import connection_string, scrub
from oncekv.server.engine.storage.record_slots import SLOTS
from oncekv.server.migration.items import KEYED, KEYS, RECORDS, SESSIONS, Id, Item
from oncekv.server.migration.sides import (
    UNFINISHED,
    MigrationFailed,
    MigrationRefused,
    Origin,
    Progress,
    decode_progress,
    encode_progress,
)

__all__ = ["PostgresqlSide", "open_side"]

BATCH_ITEMS = 2000
BATCH_BYTES = 1024 * 1024
BEAT_MAX_S = 1.5
"""A server that runs saves the lease clock several times in it."""

assert SLOTS == 1024, "the statements below say 1024, as the schema does"
_SELECT = {
    KEYS: "SELECT key, version, value FROM oncekv_kv WHERE version > 0 AND key > %b ORDER BY key",
    SESSIONS: """
SELECT name, lease_ms, expires_ms, GREATEST(acked, (SELECT max(record.acked) FROM oncekv_record AS record
    WHERE place BETWEEN number * 1024 AND number * 1024 + 1023))
FROM oncekv_session WHERE name > %b ORDER BY name""",
    RECORDS: """
SELECT session.name, record.seq, record.answer FROM oncekv_session AS session JOIN oncekv_record AS record
    ON record.place BETWEEN session.number * 1024 AND session.number * 1024 + 1023
WHERE session.name >= %b AND (session.name, record.seq) > (%b, %b) ORDER BY session.name, record.seq""",
    KEYED: """
SELECT scope, key, answer, expires_ms FROM oncekv_keyed WHERE (scope, key) > (%b, %b) ORDER BY scope, key""",
}
_FIRST: dict[str, Id] = {KEYS: (b"",), SESSIONS: (b"",), RECORDS: (b"", -1), KEYED: (b"", b"")}
_PUT_KEYS = "INSERT INTO oncekv_kv (key, version, value) SELECT * FROM unnest(%b::bytea[], %b::bigint[], %b::bytea[])"
_PUT_SESSIONS = """
INSERT INTO oncekv_session (number, name, lease_ms, expires_ms, acked)
SELECT * FROM unnest(%b::bigint[], %b::bytea[], %b::bigint[], %b::bigint[], %b::bigint[])"""
_PUT_RECORDS = """
INSERT INTO oncekv_record (place, seq, acked, answer)
SELECT place, seq, 0, answer FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[]) AS put (place, seq, answer)"""
_PUT_KEYED = """
INSERT INTO oncekv_keyed (scope, key, answer, expires_ms)
SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[], %b::bigint[])"""
_PLACES = """
SELECT name, COALESCE((SELECT max(place) + 1 FROM oncekv_record
    WHERE place BETWEEN number * 1024 AND number * 1024 + 1023), number * 1024)
FROM oncekv_session WHERE name = ANY (%b::bytea[])"""
"""Where the next record of each of these sessions goes."""
_OURS = r"""
SELECT count(*) FROM information_schema.tables
WHERE table_schema = current_schema() AND table_name LIKE 'oncekv\_%%'"""
_STATE = "SELECT boot, clock_ms, saved_ms FROM oncekv_clock"


def open_side(location: str) -> PostgresqlSide:
    """`location` is what follows `postgresql://`. Nobody connects yet."""
    return PostgresqlSide(connection_string(location))


class PostgresqlSide:
    """One database."""

    batch_items = BATCH_ITEMS
    batch_bytes = BATCH_BYTES

    def __init__(self, conninfo: str) -> None:
        options = conninfo_to_dict(conninfo)
        self.where = " ".join(f"{word} {options[word]}" for word in ("host", "port", "dbname") if options.get(word))
        self.where = f"postgresql {self.where}"
        self._conninfo = conninfo
        self._opened: psycopg.Connection[tuple[Any, ...]] | None = None

    def origin(self) -> Origin:
        with self._telling(MigrationRefused):
            if self._has(MIGRATION_TABLE):
                raise MigrationRefused(f"the source is no whole store: {UNFINISHED}")
            if not self._has("oncekv_schema"):
                raise MigrationRefused("the source's database holds no store; name the one that is to be moved")
            ((version,),) = self._ask("SELECT version FROM oncekv_schema")
            if version != SCHEMA_VERSION:
                raise MigrationRefused(
                    f"the source has schema {version}, this release knows {SCHEMA_VERSION};"
                    " let a server of the newer release bring it up to date, and use its `oncekv migrate`"
                )
            ((boot, clock_ms, _),) = self._ask(_STATE)
            before = self.state()
            time.sleep(BEAT_MAX_S)
            if self.state() != before:
                raise MigrationRefused("a server is running on the source; end all of them first")
        return Origin(self.where, boot, clock_ms, before)

    def state(self) -> str:
        with self._telling(MigrationFailed):
            return "/".join(map(str, self._ask(_STATE)[0]))

    def items(self, kind: str, after: Id | None = None) -> Iterator[Item]:
        values = after or _FIRST[kind]
        if kind == RECORDS:
            values = (values[0], *values)
        with self._telling(MigrationFailed), self._connection.cursor(binary=True) as cursor:
            yield from cursor.stream(_SELECT[kind], values)

    def progress(self) -> Progress | None:
        with self._telling(MigrationRefused):
            if self._has(MIGRATION_TABLE):
                ((stored,),) = self._ask(f"SELECT progress FROM {MIGRATION_TABLE}")  # noqa: S608 a constant
                return decode_progress(stored)
            if self._ask(_OURS)[0][0]:
                raise MigrationRefused("the target's database holds a store already; name an empty one (createdb)")
        return None

    def begin(self, progress: Progress) -> None:
        with self._telling(MigrationRefused), self._connection.transaction():
            make_tables(self._connection)
            self._ask(f"CREATE TABLE {MIGRATION_TABLE} (one bigint PRIMARY KEY CHECK (one = 1), progress bytea)")
            self._ask(f"INSERT INTO {MIGRATION_TABLE} VALUES (1, %b)", (encode_progress(progress),))  # noqa: S608

    def put(self, kind: str, items: Sequence[Item], before: Progress, after: Progress) -> None:
        with self._telling(MigrationFailed), self._connection.transaction():
            move_on = f"UPDATE {MIGRATION_TABLE} SET progress = %b WHERE progress = %b"  # noqa: S608
            cursor = self._connection.execute(move_on, (encode_progress(after), encode_progress(before)))
            if cursor.rowcount != 1:
                raise MigrationFailed("another `oncekv migrate` fills the same target; end one of them")
            self._put(kind, items, before)

    def finish(self, progress: Progress) -> None:
        sessions, records = (progress.counts.get(kind, 0) for kind in (SESSIONS, RECORDS))
        with self._telling(MigrationFailed), self._connection.transaction():
            self._ask("UPDATE oncekv_count SET sessions = %b, records = %b WHERE shard = 0", (sessions, records))
            clock = (progress.origin.boot, progress.origin.clock_ms)
            self._ask("UPDATE oncekv_clock SET boot = %b, clock_ms = %b", clock)
            # The block behind the last number that was given out here.
            self._connection.execute(
                "SELECT setval('oncekv_session_block', %b::bigint, false)", (sessions // SESSION_BLOCK + 1,)
            )
            self._ask(f"DROP TABLE {MIGRATION_TABLE}")

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _put(self, kind: str, items: Sequence[Item], before: Progress) -> None:
        columns = [list(column) for column in zip(*items, strict=True)]
        if kind == KEYS:
            self._ask(_PUT_KEYS, columns)
        elif kind == SESSIONS:
            first = before.counts.get(SESSIONS, 0) + 1
            self._ask(_PUT_SESSIONS, [list(range(first, first + len(items))), *columns])
        elif kind == RECORDS:
            names, seqs, answers = columns
            next_place = dict(self._ask(_PLACES, (list(dict.fromkeys(names)),)))
            places = []
            for name in names:
                places.append(next_place[name])
                next_place[name] += 1
            self._ask(_PUT_RECORDS, (places, seqs, answers))
        else:
            self._ask(_PUT_KEYED, columns)

    def _has(self, table: str) -> bool:
        sql = "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = %s"
        return self._connection.execute(sql, (table,)).fetchone() is not None

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor(binary=True).execute(sql.encode(), values)
        return cursor.fetchall() if cursor.description else []

    @property
    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._opened is None:
            self._opened = psycopg.connect(self._conninfo, autocommit=True)
            self._opened.execute("SET synchronous_commit = on")
        return self._opened

    @contextlib.contextmanager
    def _telling(self, kind: type[StartupError]) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            said = scrub(str(error), self._conninfo) or type(error).__name__
            raise kind(f"{self.where}: {explain(error, said)}") from None
