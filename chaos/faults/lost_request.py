"""Requests are swallowed: the client sends, the server hears nothing (toxic `timeout` 0, upstream)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.faults.base import Fault
from chaos.judge import Evidence

if TYPE_CHECKING:
    from chaos.world import World


class LostRequest(Fault):
    """Silence on the way there."""

    def inject(self, world: World) -> None:
        for link in world.links:
            link.add("timeout", "upstream", timeout=0)

    def heal(self, world: World) -> None:
        for link in world.links:
            link.heal()

    def fired(self, evidence: Evidence) -> int:
        """Attempts that left a client and never arrived."""
        return evidence.sent - evidence.arrived
