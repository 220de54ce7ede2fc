"""A server's store, looked at from outside: its SQLite file, opened to read only. It is there when the server is dead.

Limit: it knows the file's layout (`schema.sql` of the server's storage), as `sqlite3` on the command line would.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["RecordSeen", "StoreFile"]

_FINGERPRINT_BYTES = 16
_TEXT_MAX = 80
_SEALED = 2
_RECORDS = """
    SELECT session.name, record.seq, record.answer FROM record JOIN session ON session.number = record.place / 1024
    WHERE record.seq > max(session.acked, (SELECT max(other.acked) FROM record AS other
        WHERE other.place BETWEEN session.number * 1024 AND session.number * 1024 + 1023))
    ORDER BY record.place LIMIT 500"""


class RecordSeen(NamedTuple):
    """A dedup record that would answer a retry. reply: as short text."""

    session: str
    seq: int
    reply: str


class StoreFile:
    """Each question opens the file anew; where it cannot be read, the answer is None. Safe for threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._url = f"{path.absolute().as_uri()}?mode=ro"

    def values(self, keys: Sequence[str]) -> dict[str, str] | None:
        """Of those keys that are there."""
        try:
            with self._open() as connection:
                ask = "SELECT value FROM kv WHERE key = ?"
                found = {key: connection.execute(ask, (key,)).fetchone() for key in keys}
        except sqlite3.Error:
            return None
        return {key: row[0] for key, row in found.items() if row is not None}

    def records(self) -> list[RecordSeen] | None:
        """The dedup records under sessions that are not acknowledged."""
        try:
            with self._open() as connection:
                rows = connection.execute(_RECORDS).fetchall()
        except sqlite3.Error:
            return None
        return [RecordSeen(session, seq, _reply_in(answer)) for session, seq, answer in rows]

    @contextlib.contextmanager
    def kept_closed(self) -> Iterator[None]:
        """Nobody looks meanwhile: whoever does makes files beside it, even to read only."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock, contextlib.closing(sqlite3.connect(self._url, uri=True, timeout=0.5)) as connection:
            yield connection


def _reply_in(answer: bytes) -> str:
    """The reply in a record's column, without its fingerprint, flags and checksum."""
    flags = answer[_FINGERPRINT_BYTES] if len(answer) > _FINGERPRINT_BYTES else 0
    body = answer[_FINGERPRINT_BYTES + 1 : -4 if flags & _SEALED else None]
    return body[:_TEXT_MAX].decode(errors="replace")
