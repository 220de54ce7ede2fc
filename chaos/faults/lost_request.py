"""Requests are swallowed: the client sends, the server hears nothing."""

from chaos.evidence import Counts
from chaos.faults.blackhole import Blackhole


class LostRequest(Blackhole):
    """Silence on the way there."""

    streams = ("upstream",)

    def fired(self, counts: Counts) -> int:
        """Attempts that left a client and never arrived."""
        return counts.never_arrived
