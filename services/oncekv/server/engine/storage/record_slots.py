"""Where the dedup records of one session stand: each has a slot, which the next record takes once it is acknowledged.

A client that makes one call after the other therefore has one row, overwritten in place by every call: the new record,
the deletion of the old one and the watermark are one write. A session keeps at most a window of records, so as many
slots are enough.
"""

from __future__ import annotations

from collections.abc import Mapping

from oncerpc.wire.identity import WINDOW

__all__ = ["SLOTS", "Slots"]

SLOTS = 1024
"""Slots of a session. Part of the schema: a row's number is `session * SLOTS + slot`."""
assert SLOTS >= WINDOW


class Slots:
    """The slots of one session.

    kept: seq → slot, of every record that is not acknowledged. vacated: slots whose record was acknowledged since
    `settle` and that were not taken again; their rows are still to be deleted.
    """

    __slots__ = ("_free", "_used", "kept", "vacated")

    def __init__(self, kept: Mapping[int, int]) -> None:
        self.kept = dict(kept)
        self.vacated: list[int] = []
        taken = set(self.kept.values())
        self._used = max(taken, default=-1) + 1
        self._free = [slot for slot in range(self._used) if slot not in taken]

    def take(self, seq: int) -> int:
        """The slot of a new record. One whose row is there anyway comes first."""
        if self.vacated:
            slot = self.vacated.pop()
        elif self._free:
            slot = self._free.pop()
        else:
            slot = self._used
            self._used += 1
        self.kept[seq] = slot
        return slot

    def forget(self, before: int, acked: int) -> int:
        """The watermark moves from `before` to `acked`; how many records went."""
        kept = self.kept
        if acked - before == 1:  # one call after the other: the common case, and worth its line
            if acked in kept:
                self.vacated.append(kept.pop(acked))
                return 1
            return 0
        count = len(kept)
        # The way through the fewer: a client may skip a billion numbers, or have a whole window outstanding.
        seqs = range(before + 1, acked + 1) if acked - before <= count else [seq for seq in kept if seq <= acked]
        for seq in seqs:
            if seq in kept:
                self.vacated.append(kept.pop(seq))
        return count - len(kept)

    def settle(self) -> list[int]:
        """The slots whose rows are to be deleted, since nobody has taken them again."""
        vacated, self.vacated = self.vacated, []
        self._free += vacated
        return vacated
