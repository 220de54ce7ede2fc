"""Clients are killed with calls under way, whose replies are lost; then they are started on the same outboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.hand import Hand

if TYPE_CHECKING:
    from chaos.world import World


class ClientCrash(Fault):
    """SIGKILL to every client."""

    def __init__(self) -> None:
        self._under_way = 0
        self._dead: list[Hand] = []

    def inject(self, world: World) -> None:
        for link in world.links:
            link.add("timeout", "downstream", timeout=0)

    def hold(self, world: World, hold_s: float) -> None:
        world.wait(hold_s)
        for hand in (caller for caller in world.callers if isinstance(caller, Hand)):
            self._under_way += hand.kill()
            self._dead.append(hand)

    def heal(self, world: World) -> None:
        for link in world.links:
            link.heal()
        while self._dead:
            self._dead.pop().restart()

    def fired(self, counts: Counts) -> int:
        """Calls that were under way when their client was killed."""
        return self._under_way
