"""What a store holds, in a form that all engines share; pure.

    keys              key, version, value
    sessions          name, lease_ms, expires_ms, watermark
    records           session's name, seq, answer (`storage.base.pack`)
    idempotency_keys  scope, key, answer, expires_ms

Texts are UTF-8. Every engine gives a kind's items in the order of the bytes of what names them (`ID_FIELDS`), so two
sides can be compared by a checksum over the stream, and a move goes on behind the last item that it has written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = ["ID_FIELDS", "KEYED", "KEYS", "KINDS", "RECORDS", "SESSIONS", "Id", "Item", "Tally", "batches", "id_of"]

Item = tuple[Any, ...]
"""Of bytes and integers."""
Id = tuple[Any, ...]
"""The first fields of an item."""

KEYS, SESSIONS, RECORDS, KEYED = "keys", "sessions", "records", "idempotency_keys"
KINDS = (KEYS, SESSIONS, RECORDS, KEYED)
"""In the order in which they move: a record needs its session."""
ID_FIELDS = {KEYS: 1, SESSIONS: 1, RECORDS: 2, KEYED: 2}
_WATERMARKS = "watermarks"


def id_of(kind: str, item: Item) -> Id:
    """What names it among those of its kind."""
    return item[: ID_FIELDS[kind]]


def batches(items: Iterable[Item], items_max: int, bytes_max: int) -> Iterator[list[Item]]:
    """Bounded portions; an item that is larger than `bytes_max` has one for itself."""
    batch: list[Item] = []
    size = 0
    for item in items:
        item_size = sum(len(part) for part in item if isinstance(part, bytes))
        if batch and (len(batch) == items_max or size + item_size > bytes_max):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item_size
    if batch:
        yield batch


@dataclass
class _Sum:
    count: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, item: Item) -> None:
        self.count += 1
        self.digest.update(msgspec.msgpack.encode(item))  # it says where each part ends


class Tally:
    """Counts and checksums of one side; a session's watermark is counted apart from its lease."""

    def __init__(self) -> None:
        self._sums = {name: _Sum() for name in (KEYS, SESSIONS, _WATERMARKS, RECORDS, KEYED)}

    def add(self, kind: str, item: Item) -> None:
        """One more, in its order."""
        if kind == SESSIONS:
            name, lease_ms, expires_ms, acked = item
            self._sums[_WATERMARKS].add((name, acked))
            item = (name, lease_ms, expires_ms)
        self._sums[kind].add(item)

    @property
    def counted(self) -> int:
        """All items so far."""
        return sum(it.count for name, it in self._sums.items() if name != _WATERMARKS)

    def result(self) -> dict[str, dict[str, Any]]:
        """By what was counted: `count`, and `sha256` over all of it."""
        return {name: {"count": it.count, "sha256": it.digest.hexdigest()} for name, it in self._sums.items()}

    def differences(self, other: Tally) -> list[str]:
        """What is not the same on the other side, for a reader."""
        mine, theirs = self.result(), other.result()
        return [
            f"{name} ({mine[name]['count']} and {theirs[name]['count']})" for name in mine if mine[name] != theirs[name]
        ]
