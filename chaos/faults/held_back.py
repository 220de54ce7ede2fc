"""Attempts are held back on the way there and arrive much later, when the client has long closed the connection.

Toxiproxy cannot duplicate, but it can hold back (toxic `latency`, upstream) while the client's retry overtakes on its
second link: the server then gets the first attempt as a late duplicate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.faults.base import Fault
from chaos.judge import Evidence

if TYPE_CHECKING:
    from chaos.world import World

LATENCY_MS = 60_000  # longer than any hold: what is held arrives when the link heals


class HeldBack(Fault):
    """The first links are slow, the second ones are not."""

    def inject(self, world: World) -> None:
        for link in world.first_links:
            link.add("latency", "upstream", latency=LATENCY_MS)

    def heal(self, world: World) -> None:
        for link in world.first_links:
            link.heal()

    def fired(self, evidence: Evidence) -> int:
        """Attempts that arrived although their clients had stopped waiting; with an identity, as stale duplicates."""
        unheard = evidence.arrived - evidence.answered
        return min(unheard, evidence.refused.get("stale_call", 0)) if evidence.identified else unheard
