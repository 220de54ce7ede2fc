"""The ordinary way to an exactly-once write: a Flask view, SQLite, and a commit in every request.

The same promise as OnceKV's kv.put under a session, and the same durability (write-ahead log, `synchronous=FULL`, reply
after the commit): compare the identity with its record, put the value, put the record, forget what is acknowledged, in
one transaction. One connection behind a lock, since threads with connections of their own only wait for each other
inside SQLite, which is slower. `/empty` does nothing: it shows what Flask itself takes.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from flask import Flask, Response, jsonify, request

__all__ = ["baseline_app", "exactly_once_put", "open_baseline"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    session TEXT NOT NULL, seq INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (session, seq)
) WITHOUT ROWID;
"""


def baseline_app(folder: Path) -> Flask:
    """The app, with its store in `folder`."""
    app = Flask("baseline")
    store = open_baseline(folder / "flask.db")
    lock = threading.Lock()

    @app.post("/put")
    def put() -> Response:
        call = request.get_json()
        with lock:
            store.execute("BEGIN IMMEDIATE")
            try:
                version = exactly_once_put(
                    store, call["session"], call["seq"], call["acked"], call["key"], call["value"]
                )
            except BaseException:
                store.execute("ROLLBACK")
                raise
            store.execute("COMMIT")
        return jsonify(id=call["id"], version=version)

    @app.post("/empty")
    def empty() -> Response:
        return jsonify(id=0, ok=True)

    app.json.compact = True  # type: ignore[attr-defined]  # the default provider has it
    return app


def open_baseline(path: Path) -> sqlite3.Connection:
    """A store as durable as OnceKV's."""
    store = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    store.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}")
    return store


def exactly_once_put(store: sqlite3.Connection, session: str, seq: int, acked: int, key: str, value: str) -> int:
    """Compare, put, record and forget, inside the caller's transaction; the key's version."""
    for (version,) in store.execute("SELECT version FROM record WHERE session = ? AND seq = ?", (session, seq)):
        return int(version)
    sql = (
        "INSERT INTO kv VALUES (?, ?, 1) ON CONFLICT (key)"
        " DO UPDATE SET value = excluded.value, version = version + 1 RETURNING version"
    )
    ((version,),) = store.execute(sql, (key, value)).fetchall()
    store.execute("INSERT INTO record VALUES (?, ?, ?)", (session, seq, version))
    store.execute("DELETE FROM record WHERE session = ? AND seq <= ?", (session, acked))
    return int(version)
