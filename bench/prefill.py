"""Fills a store by SQL, in the store's own schema: a million calls one by one would take longer than all the rest.

The one place of this package that looks inside a store; a new schema version makes `prefill` stop with one line. What
it leaves is what so many calls would have left: keys with values, open sessions with their watermark, and of each
session the one record that its client has not acknowledged yet. The server is down meanwhile.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from pathlib import Path

from bench.load.plan import VALUE

__all__ = ["LEASE_MS", "SchemaUnknown", "disk_bytes", "fold", "prefill"]

SCHEMA_VERSIONS = (3,)
LEASE_MS = 24 * 60 * 60 * 1000
SLOTS = 1024
NAME_BYTES = 16
FINGERPRINT_BYTES = 16


class SchemaUnknown(Exception):
    """The store has another schema than this file was written for."""


def prefill(path: Path, *, keys: int = 0, sessions: int = 0, calls: int = 0) -> list[str]:
    """Add keys k0000000 …, and open sessions under which `calls` ran in sum; the sessions' names."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as store:
        (version,) = store.execute("PRAGMA user_version").fetchone()
        if version not in SCHEMA_VERSIONS:
            raise SchemaUnknown(f"bench/prefill.py knows schema {SCHEMA_VERSIONS}, this store has {version}")
        store.execute("PRAGMA synchronous = OFF")
        store.execute("BEGIN IMMEDIATE")
        store.executemany(
            "INSERT INTO kv (key, value, version) VALUES (?, ?, 1)",
            ((f"k{number:07d}", VALUE) for number in range(keys)),
        )
        names = [secrets.token_urlsafe(NAME_BYTES) for _ in range(sessions)]
        _open(store, names, calls // sessions if sessions else 0)
        store.execute("COMMIT")
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return names


def _open(store: sqlite3.Connection, names: list[str], calls_each: int) -> None:
    first, clock_ms = store.execute("SELECT sessions_opened + 1, clock_ms FROM tally").fetchone()
    expires_ms = clock_ms + LEASE_MS
    acked = max(0, calls_each - 1)
    store.executemany(
        "INSERT INTO session (number, name, lease_ms, expires_ms, acked) VALUES (?, ?, ?, ?, ?)",
        ((number, name, LEASE_MS, expires_ms, acked) for number, name in enumerate(names, first)),
    )
    records = 0
    if calls_each:
        records = store.executemany(
            "INSERT INTO record (place, seq, acked, answer) VALUES (?, ?, ?, ?)",
            (
                (number * SLOTS, calls_each, acked, secrets.token_bytes(FINGERPRINT_BYTES) + b'\0{"version":1}')
                for number in range(first, first + len(names))
            ),
        ).rowcount
    store.execute(
        "UPDATE tally SET sessions_opened = sessions_opened + ?, sessions = sessions + ?, records = records + ?",
        (len(names), len(names), records),
    )


def fold(path: Path) -> None:
    """Write the log back into the file, as far as the server's readers let it."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as store:
        store.execute("PRAGMA wal_checkpoint(PASSIVE)")


def disk_bytes(path: Path) -> int:
    """The bytes of the pages in use: the file without what deleted rows have left free in it."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as store:
        (pages,) = store.execute("PRAGMA page_count").fetchone()
        (free,) = store.execute("PRAGMA freelist_count").fetchone()
        (size,) = store.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
