"""Nothing comes through, in either direction, until it heals."""

from chaos.faults.silence import Silence
from chaos.judge import Evidence


class Partition(Silence):
    """Silence both ways."""

    streams = ("downstream", "upstream")

    def fired(self, evidence: Evidence) -> int:
        """Attempts that left a client and got no answer."""
        return evidence.sent - evidence.answered
