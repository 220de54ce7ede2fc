"""Requests are swallowed: the client sends, the server hears nothing."""

from chaos.faults.silence import Silence
from chaos.judge import Evidence


class LostRequest(Silence):
    """Silence on the way there."""

    streams = ("upstream",)

    def fired(self, evidence: Evidence) -> int:
        """Attempts that left a client and never arrived."""
        return evidence.sent - evidence.arrived
