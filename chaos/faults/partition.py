"""Nothing comes through, in either direction, until it heals."""

from chaos.evidence import Counts
from chaos.faults.blackhole import Blackhole


class Partition(Blackhole):
    """Silence both ways."""

    streams = ("downstream", "upstream")

    def fired(self, counts: Counts) -> int:
        """Attempts that left a client and got no answer."""
        return counts.unanswered
