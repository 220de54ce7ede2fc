"""Messages come in pieces of a few bytes with gaps between them (toxics `slicer` and `bandwidth`), both ways.

Whoever takes the first piece for the whole reads half a request or half a reply; whoever waits for the rest waits
longer than the clients do, and reads a request whose client has hung up in the middle of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.toxic import Toxic

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

PIECE_BYTES = 24
GAP_US = 18_000
RATE_KB_S = 4


class Trickle(Toxic):
    """Nothing is lost on the way; it only never comes at once."""

    def inject(self, env: Environment) -> None:
        for link in env.links:
            for stream in ("upstream", "downstream"):
                link.add("slicer", stream, average_size=PIECE_BYTES, size_variation=PIECE_BYTES // 2, delay=GAP_US)
                link.add("bandwidth", stream, rate=RATE_KB_S)

    def fired(self, counts: Counts) -> int:
        """Attempts that left a client and got no answer in time."""
        return counts.unanswered
