"""What the promise asks of a store: sessions and dedup records, inside the transaction that holds the effect.

Whoever keeps them knows rows, not rules: windows, leases, fingerprints and what a duplicate gets live above, in one
place for every store. Guarantee asked for: what a transaction changes becomes durable together with the effects of its
calls, or not at all, and of two transactions that ask for one identity the second sees what the first has committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from oncerpc.wire.jsonrpc import Reply

__all__ = [
    "Counters",
    "KeyedRecord",
    "ReadableStore",
    "Record",
    "Records",
    "Session",
    "SessionReader",
    "StoreBusy",
    "StoreFailed",
    "StoreRefused",
]


class StoreRefused(Exception):
    """The store takes no transaction now; the message says why. Nothing of this one began."""


class StoreBusy(StoreRefused):
    """Another process held the store for longer than the bound."""


class StoreFailed(Exception):
    """The store broke a transaction off, for want of room for example; nobody can tell what became of it."""


class Session(Protocol):
    """One open session. `expires_ms` is a time of the lease clock; `acked` is the watermark. `is_restored`: the store
    was restored from a backup since, and may not know all calls that it has made.
    """

    @property
    def is_restored(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def lease_ms(self) -> int: ...
    @property
    def expires_ms(self) -> int: ...
    @property
    def acked(self) -> int: ...


class Record(NamedTuple):
    """A dedup record: what ran under an identity, and what it answered."""

    fingerprint: bytes
    reply: Reply


class KeyedRecord(NamedTuple):
    """A dedup record under an Idempotency-Key, kept until `expires_ms`."""

    fingerprint: bytes
    reply: Reply
    expires_ms: int


class Counters(NamedTuple):
    """What is counted in the store itself, so that several processes agree on it.

    clock_ms: the lease clock as last saved. sessions_opened: ever; gives out session numbers, so none comes twice.
    """

    clock_ms: int
    sessions_opened: int
    sessions: int
    records: int


class SessionReader(Protocol):
    """A view of what is committed."""

    def sessions(self, names: Sequence[str]) -> Sequence[Session]:
        """Those of these names that are open."""
        ...

    def counters(self) -> Counters: ...


S = TypeVar("S")


class Records(Protocol[S]):
    """The sessions and records of one write transaction; `S` is the store's own Session."""

    @property
    def sessions_open(self) -> int: ...
    def session(self, name: str) -> S | None: ...
    def open_session(self, name: str, lease_ms: int, expires_ms: int) -> S:
        """A new session under a number that was never given out before."""
        ...

    def renew(self, session: S, expires_ms: int) -> None:
        """Move the end of its lease."""
        ...

    def acknowledge(self, session: S, acked: int) -> None:
        """Move the watermark; the records at or below it go with it."""
        ...

    def end_session(self, session: S) -> None:
        """The session and its records are gone for good."""
        ...

    def sessions_expired(self, now_ms: int, limit: int) -> Sequence[S]:
        """Up to `limit` sessions whose lease is over."""
        ...

    def record(self, session: S, seq: int) -> Record | None:
        """The record of this identity; an attempt of it that has not ended yet is waited for."""
        ...

    def put_record(self, session: S, seq: int, fingerprint: bytes, reply: Reply) -> None: ...
    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        """The same for an Idempotency-Key; also one that has expired and was not forgotten yet."""
        ...

    def put_keyed(self, scope: bytes, key: str, record: KeyedRecord) -> None: ...


class ReadableStore(Protocol):
    """What dispatch asks of a store: reads, which see what is committed."""

    @property
    def name(self) -> str: ...
    def read(self) -> AbstractContextManager[SessionReader]:
        """Raises StoreRefused when the store is not there."""
        ...
