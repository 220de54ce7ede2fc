"""Replies are swallowed: the call runs, the client hears nothing."""

from chaos.evidence import Counts
from chaos.faults.blackhole import Blackhole


class LostReply(Blackhole):
    """Silence on the way back."""

    streams = ("downstream",)

    def fired(self, counts: Counts) -> int:
        """Attempts that arrived, and whose clients heard nothing of it."""
        return counts.unheard
