"""What a storage engine offers: reads, and one atomic application of what a group of calls changed.

Engines are thin. They know rows, not rules: windows, leases, fingerprints and what a method means live above.
Guarantee: `write()` sees all that was committed before it, no other writer changes what it has read beside it, and when
it returns normally its changes are durable, all of them; otherwise none is there. A store that other servers write too
may keep the second promise by giving a transaction up (`StoreConflict`): then the whole group is run again. Limit: as
durable as the engine's own commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from oncekv.kv.values import Row
from oncekv.server.engine.storage.record_slots import SLOTS, Slots
from oncerpc.server.records import Counters, KeyedRecord, Record, StoreBusy, StoreFailed, StoreRefused
from oncerpc.wire.fingerprint import FINGERPRINT_BYTES
from oncerpc.wire.jsonrpc import Reply

__all__ = [
    "Changes",
    "Counters",
    "KeyedRecord",
    "Reader",
    "Record",
    "RecordRow",
    "Row",
    "Session",
    "Store",
    "StoreBusy",
    "StoreConflict",
    "StoreFailed",
    "StoreOverLimit",
    "StoreRefused",
    "Writer",
    "pack",
    "unpack",
]


class StoreConflict(Exception):
    """The store gave a transaction up for another one; surely nothing of it stays, so all of it may be run again."""


class StoreOverLimit(Exception):
    """The transaction is larger than the store takes, and nothing of it was done; that of fewer calls may not be."""


class Session:
    """One open session. `expires_ms` is a time of the lease clock; `acked` is the watermark, `carried` the one that
    is stored: with the session, or with one of its records. `is_restored`: it is older than the backup that this store
    was restored from, and may have made calls that are not known here.

    Only the group changes one, and what it has changed is committed, or the object is thrown away.
    """

    __slots__ = ("acked", "carried", "expires_ms", "is_restored", "lease_ms", "name", "number", "slots")

    def __init__(
        self,
        number: int,
        name: str,
        lease_ms: int,
        expires_ms: int,
        acked: int,
        slots: Slots,
        *,
        is_restored: bool = False,
    ) -> None:
        self.number = number
        self.name = name
        self.lease_ms = lease_ms
        self.expires_ms = expires_ms
        self.acked = self.carried = acked
        self.slots = slots
        self.is_restored = is_restored

    def row_id(self, slot: int) -> int:
        """The id of the row in which the record of this slot stands; in the file the column is called `place`."""
        return self.number * SLOTS + slot


RecordRow = tuple[int, int, int, bytes]
"""A dedup record as it is stored: row id, seq, the session's watermark when it was made, and the rest as one (`pack`),
since every column costs.
"""


def pack(fingerprint: bytes, reply: Reply) -> bytes:
    """A record's fingerprint, whether its reply is an error, and the reply's body."""
    return b"%b%c%b" % (fingerprint, reply.failed, reply.body)


def unpack(answer: bytes) -> Record:
    """What `pack` was given."""
    body = FINGERPRINT_BYTES + 1
    return Record(answer[:FINGERPRINT_BYTES], Reply(bool(answer[FINGERPRINT_BYTES]), answer[body:]))


@dataclass
class Changes:
    """What a group of calls changes, applied in one transaction."""

    rows: dict[str, Row | None] = field(default_factory=dict)
    opened: dict[int, Session] = field(default_factory=dict)
    """By number, as the two below."""
    sessions: dict[int, Session] = field(default_factory=dict)
    """Renewed, or acknowledged without a record that could carry the watermark."""
    ended: set[int] = field(default_factory=set)
    """Sessions to forget, with all their records."""
    records: dict[int, RecordRow] = field(default_factory=dict)
    """By row id; what stood there before is acknowledged. Of the watermarks that are stored with a session and with its
    records, the highest counts."""
    forgotten: list[int] = field(default_factory=list)
    """Row ids whose record is acknowledged, some of those in `records` among them: these go last."""
    keyed: dict[tuple[bytes, str], KeyedRecord] = field(default_factory=dict)
    keyed_expired_ms: int | None = None
    """Forget a bounded portion of keyed records that expired by then."""
    counters: Counters | None = None
    """The new one, if it changed."""
    now_ms: int = 0
    """The lease clock's time, for an engine to which a keyed record that has expired is as good as none."""

    @property
    def has_any(self) -> bool:
        """Whether there is anything to write."""
        sessions = self.opened or self.sessions or self.ended or self.records or self.forgotten
        return bool(self.rows or sessions or self.keyed or self.counters) or self.keyed_expired_ms is not None


class Reader(Protocol):
    """A consistent view of what is committed (or, in a writer, of the transaction's start)."""

    def row(self, key: str) -> Row | None: ...
    def page(self, prefix: str, after: str, limit: int, bytes_max: int) -> list[tuple[str, Row]]:
        """Up to `limit` keys after `after`, in UTF-8 order. Raises TooLarge over `bytes_max` of keys and values."""
        ...

    def sessions(self, names: Sequence[str]) -> list[Session]:
        """Those of these names that are open."""
        ...

    def record(self, row_id: int) -> Record | None: ...
    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None: ...
    def counters(self) -> Counters: ...


class Writer(Reader, Protocol):
    """The one open write transaction of this process. All but `data_version` may raise StoreConflict, StoreRefused and
    StoreFailed: what they read has other writers.
    """

    def foresee(self, names: Collection[str], keys: Collection[str], keyed: Collection[tuple[bytes, str]] = ()) -> None:
        """These sessions, keys and Idempotency-Keys (scope and key) will be asked for, before anything else is: an
        engine that other servers write too locks them here in one order for all, or reads them at one go.
        """
        ...

    def new_session_number(self, counted: int) -> int:
        """One that no session has had. `counted`: how many sessions were ever opened, as this group knows it."""
        ...

    def data_version(self) -> int | None:
        """Another number than before when another process has written meanwhile; None if nobody can tell."""
        ...

    def rows(self, keys: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        """Version and value of those of these keys that are there; a large value is left out (None)."""
        ...

    def sessions_expired(self, now_ms: int, limit: int) -> list[Session]: ...
    def keyed_expired(self, now_ms: int) -> bool: ...
    def apply(self, changes: Changes) -> None:
        """Write all changes."""
        ...


class Store(Protocol):
    """One store, shared by all threads, workers and servers that name it."""

    name: str

    @property
    def group_ops_max(self) -> int | None:
        """How many keys and sessions the calls of one group may change together; None: as many as they like."""
        ...

    @property
    def clock_pace_ms(self) -> int | None:
        """How often the lease clock is to be saved, where other servers take it from the store; None: seldom."""
        ...

    @property
    def limits(self) -> Mapping[str, int]:
        """What `server.info` says of the engine's own limits."""
        ...

    def boot(self) -> int:
        """Count one more start on this store; the new count."""
        ...

    def read(self) -> AbstractContextManager[Reader]:
        """Raises StoreRefused when the store is not there."""
        ...

    def write(self) -> AbstractContextManager[Writer]:
        """Raises StoreRefused when it cannot begin, StoreFailed when it breaks off and nobody can tell what became of
        it, StoreConflict when it was given up and may be run again, and StoreOverLimit when fewer calls may be run.
        """
        ...

    def check(self, *, writes: bool) -> None:
        """Raises StoreRefused or StoreFailed when the store is not there or, asked for `writes`, takes none."""
        ...

    def close(self) -> None: ...
