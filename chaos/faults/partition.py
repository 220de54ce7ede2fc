"""Nothing comes through, in either direction (toxic `timeout` 0, both ways), until it heals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.faults.base import Fault
from chaos.judge import Evidence

if TYPE_CHECKING:
    from chaos.world import World


class Partition(Fault):
    """Silence both ways."""

    def inject(self, world: World) -> None:
        for link in world.links:
            link.add("timeout", "downstream", timeout=0)
            link.add("timeout", "upstream", timeout=0)

    def heal(self, world: World) -> None:
        for link in world.links:
            link.heal()

    def fired(self, evidence: Evidence) -> int:
        """Attempts that left a client and got no answer."""
        return evidence.sent - evidence.answered
