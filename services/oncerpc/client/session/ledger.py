"""The books of one session: which seq comes next, and up to which one the client holds every reply.

    seq      1  2  3  4  5  6  7      `acked` is the highest n such that every call up to n is finished: its
    state    f  f  f  o  f  o  o      reply was handed to the caller, or it was given up for good. Never may it
                   ^ acked = 3        pass a call that some attempt may still be made for, or the server would
                                      refuse that attempt as stale.

Place on the way: asked by `session` when a call begins and when it is finished. Pure, without locks: the
caller holds one. Guarantee: `acked` never falls, and stays below the seq of every open call. Bound: the
window.
"""

from __future__ import annotations

from collections.abc import Iterable

from oncerpc.wire.identity import WINDOW

__all__ = ["Ledger"]


class Ledger:
    """Gives out seqs, and counts the finished ones off from below."""

    def __init__(self, next_seq: int = 1, unanswered: Iterable[int] = (), window: int = WINDOW) -> None:
        """A fresh session, or one that goes on at `next_seq` with only `unanswered` not finished."""
        assert next_seq >= 1
        assert window >= 1
        still_open = set(unanswered)
        assert all(1 <= seq < next_seq for seq in still_open), "an unanswered call must have begun"
        self.window = window
        self.next_seq = next_seq
        self.acked = min(still_open, default=next_seq) - 1
        self._finished_above = set(range(self.acked + 1, next_seq)) - still_open

    def begin(self, count: int = 1) -> range:
        """The seqs of the next calls: all of them, or an empty range while the window has no room for all."""
        if not self.has_room(count):
            return range(0)
        seqs = range(self.next_seq, self.next_seq + count)
        self.next_seq = seqs.stop
        return seqs

    def finish(self, seq: int) -> None:
        """The call's reply was handed over, or no attempt of it will ever be made again."""
        assert self.acked < seq < self.next_seq, f"seq {seq} is not open"
        assert seq not in self._finished_above, f"seq {seq} is finished already"
        self._finished_above.add(seq)
        while self.acked + 1 in self._finished_above:
            self.acked += 1
            self._finished_above.discard(self.acked)

    def has_room(self, count: int) -> bool:
        """Whether so many calls can begin before an old one is finished."""
        return self.next_seq - 1 + count - self.acked <= self.window

    @property
    def open_count(self) -> int:
        """How many calls have begun and are not finished."""
        return self.next_seq - 1 - self.acked - len(self._finished_above)
