"""Replies are swallowed: the call runs, the client hears nothing."""

from chaos.faults.silence import Silence
from chaos.judge import Evidence


class LostReply(Silence):
    """Silence on the way back."""

    streams = ("downstream",)

    def fired(self, evidence: Evidence) -> int:
        """Attempts that arrived, and whose clients heard nothing of it."""
        return evidence.arrived - evidence.answered
