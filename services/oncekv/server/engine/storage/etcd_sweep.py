"""What has run out (step 10): sessions whose lease is over, and records under Idempotency-Keys whose time is.

Each has an entry in an index in the order of time (`due`, `keyed-due`), which says when to look. An entry is not moved
with every renewal; it is put off when it is met and the session lives. Everything that stands in the index up to the
end of a portion is dealt with, so its entries go by one deletion of a range, which holds only if nobody has put one
there meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oncekv.server.engine.storage import etcd_api as api

__all__ = ["Sweep"]


@dataclass
class Sweep:
    """What a group takes from the indexes."""

    put_off: dict[int, int] = field(default_factory=dict)
    """Sessions that live: number → the time at which to look again."""
    _ends: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Of an index all entries up to this key go, if they are as at this revision."""

    @property
    def has_any(self) -> bool:
        return bool(self._ends)

    def take(self, index: bytes, end: bytes, revision: int) -> None:
        """All entries of the index up to `end` are dealt with."""
        self._ends[index] = (end, revision)

    def takes(self, entry: bytes) -> bool:
        """Whether this entry goes with the others."""
        return any(index <= entry < end for index, (end, _) in self._ends.items())

    def compares(self) -> list[api.Compare]:
        return [api.not_changed_since(revision, index, end) for index, (end, revision) in self._ends.items()]

    def ops(self) -> list[api.Op]:
        return [api.delete_range(index, end) for index, (end, _) in self._ends.items()]
