"""Nothing comes through, in either direction, until it heals."""

from chaos.evidence import Counts
from chaos.faults.silence import Silence


class Partition(Silence):
    """Silence both ways."""

    streams = ("downstream", "upstream")

    def fired(self, counts: Counts) -> int:
        """Attempts that left a client and got no answer."""
        return counts.unanswered
