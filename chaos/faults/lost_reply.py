"""Replies are swallowed: the call runs, the client hears nothing (toxic `timeout` 0, downstream)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.faults.base import Fault
from chaos.judge import Evidence

if TYPE_CHECKING:
    from chaos.world import World


class LostReply(Fault):
    """Silence on the way back."""

    def inject(self, world: World) -> None:
        for link in world.links:
            link.add("timeout", "downstream", timeout=0)

    def heal(self, world: World) -> None:
        for link in world.links:
            link.heal()

    def fired(self, evidence: Evidence) -> int:
        """Attempts that arrived, and whose clients heard nothing of it."""
        return evidence.arrived - evidence.answered
