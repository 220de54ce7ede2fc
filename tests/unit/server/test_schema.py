"""A store that an older release has made goes on where it was."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from oncekv.server.engine.storage import open_store, sqlite
from oncekv.server.engine.storage.sqlite import APPLICATION_ID
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import replaced

SCHEMA_1 = f"""
CREATE TABLE kv (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE session (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, lease_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL, acked INTEGER NOT NULL);
CREATE INDEX session_by_expiry ON session (expires_ms);
CREATE TABLE record (session INTEGER NOT NULL, seq INTEGER NOT NULL, fingerprint BLOB NOT NULL,
    failed INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (session, seq)) WITHOUT ROWID;
CREATE TABLE keyed (scope BLOB NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, failed INTEGER NOT NULL,
    body BLOB NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
CREATE INDEX keyed_by_expiry ON keyed (expires_ms);
CREATE TABLE tally (one INTEGER PRIMARY KEY CHECK (one = 1), boot INTEGER NOT NULL, clock_ms INTEGER NOT NULL,
    sessions_opened INTEGER NOT NULL, sessions INTEGER NOT NULL, records INTEGER NOT NULL);
INSERT INTO tally VALUES (1, 4, 99, 2, 2, 3);
INSERT INTO session VALUES (1, 'one', 1000, 5000, 6), (2, 'two', 1000, 5000, 0);
INSERT INTO record VALUES (1, 8, zeroblob(16), 0, CAST('{{"version":3}}' AS BLOB)),
    (1, 7, randomblob(16), 1, CAST('{{"code":22}}' AS BLOB)), (2, 1, zeroblob(16), 0, CAST('{{}}' AS BLOB));
INSERT INTO kv VALUES ('k', 'value', 3);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
"""


def test_a_store_of_schema_1_keeps_its_records_and_watermarks(tmp_path: Path) -> None:
    """Each record is found under its session and seq, replies and errors alike; opening it again changes nothing."""
    path = tmp_path / "kv.db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(SCHEMA_1)
    for _ in range(2):
        store = open_store(f"sqlite:///{path}")
        with store.read() as reader:
            one, two = sorted(reader.sessions(["one", "two"]), key=lambda session: session.number)
            assert (one.acked, two.acked) == (6, 0)
            assert (set(one.slots.kept), set(two.slots.kept)) == ({7, 8}, {1})
            found = {seq: reader.record(one.row_id(slot)) for seq, slot in one.slots.kept.items()}
            assert found[7]
            assert found[7].reply == Reply(True, b'{"code":22}')
            assert found[8] == (bytes(16), Reply(False, b'{"version":3}'))
            assert reader.counters() == (99, 2, 2, 3)
            assert reader.row("k") == ("value", 3)
        store.close()
    with contextlib.closing(sqlite3.connect(path)) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_skipped_step_is_caught(tmp_path: Path) -> None:
    """Planted: the step to schema 3 as far as somebody needed it on that day."""
    path = tmp_path / "kv.db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(SCHEMA_1)
    real = sqlite._script

    def script(name: str) -> list[str]:
        return [text for text in real(name) if not (name == "schema-from-2.sql" and "epoch" in text)]

    with replaced(sqlite, _script=script):
        store = open_store(f"sqlite:///{path}")
    with pytest.raises(sqlite3.OperationalError, match="epoch"), store.read() as reader:
        reader.sessions(["one"])
    store.close()
