"""What a storage engine offers: reads, and one atomic application of what a group of calls changed.

Engines are thin. They know rows, not rules: windows, leases, fingerprints and what a method means live above.
Guarantee: `write()` sees all that was committed before it, no other writer runs beside it, and when it returns
normally its changes are durable, all of them; otherwise none is there. Limit: as durable as the disk's fsync.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from oncekv.wire.envelope import Reply

__all__ = ["Changes", "KeyedRecord", "Reader", "Record", "Row", "SessionRow", "Store", "StoreBusy", "Tally", "Writer"]


class StoreBusy(Exception):
    """Another process held the store for longer than the bound; nothing of this transaction began."""


class Row(NamedTuple):
    """One key's value and the number of its changes since it was created."""

    value: str
    version: int


class SessionRow(NamedTuple):
    """One open session. `expires_ms` is a time of the lease clock; `acked` is the watermark."""

    number: int
    name: str
    lease_ms: int
    expires_ms: int
    acked: int


class Record(NamedTuple):
    """A dedup record: what ran under an identity, and what it answered."""

    fingerprint: bytes
    reply: Reply


class KeyedRecord(NamedTuple):
    """A dedup record under an Idempotency-Key, kept until `expires_ms` of the lease clock."""

    fingerprint: bytes
    reply: Reply
    expires_ms: int


class Tally(NamedTuple):
    """What is counted in the store itself, so that several processes agree on it.

    clock_ms: the lease clock as last saved. sessions_opened: ever; gives out session numbers, so none comes twice.
    """

    clock_ms: int
    sessions_opened: int
    sessions: int
    records: int


@dataclass
class Changes:
    """What a group of calls changes, applied in one transaction."""

    rows: dict[str, Row | None] = field(default_factory=dict)
    sessions: dict[str, SessionRow] = field(default_factory=dict)
    """By name: those opened, renewed or acknowledged."""
    ended: set[int] = field(default_factory=set)
    """Numbers of sessions to forget, with all their records."""
    records: dict[tuple[int, int], Record] = field(default_factory=dict)
    keyed: dict[tuple[bytes, str], KeyedRecord] = field(default_factory=dict)
    acked: dict[int, int] = field(default_factory=dict)
    """Session number → watermark that moved: records at or below it are forgotten."""
    keyed_expired_ms: int | None = None
    """Forget a bounded portion of keyed records that expired by then."""


class Reader(Protocol):
    """A consistent view of what is committed (or, in a writer, of the transaction's start)."""

    def row(self, key: str) -> Row | None: ...
    def page(self, prefix: str, after: str, limit: int, bytes_max: int) -> list[tuple[str, Row]]:
        """Up to `limit` keys after `after`, in UTF-8 order. Raises TooLarge over `bytes_max` of keys and values."""
        ...

    def session(self, name: str) -> SessionRow | None: ...
    def sessions_expired(self, now_ms: int, limit: int) -> list[SessionRow]: ...
    def record(self, session_number: int, seq: int) -> Record | None: ...
    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None: ...
    def keyed_expired(self, now_ms: int) -> bool: ...
    def tally(self) -> Tally: ...


class Writer(Reader, Protocol):
    """The one open write transaction."""

    def apply(self, changes: Changes, tally: Tally) -> None:
        """Write all changes, and the tally with its counts of sessions and records brought up to date."""
        ...


class Store(Protocol):
    """One store, shared by all threads, workers and servers that name it."""

    name: str

    def boot(self) -> int:
        """Count one more start on this store; the new count."""
        ...

    def read(self) -> AbstractContextManager[Reader]: ...
    def write(self) -> AbstractContextManager[Writer]:
        """Raises StoreBusy when another process did not let go in time: nothing has begun then."""
        ...

    def close(self) -> None: ...
