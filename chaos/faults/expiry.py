"""Replies are lost, then clients are cut off for longer than their sessions' lease. Copies of their calls arrive after
that, and once more after a restart.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaos.courier import KEEP, PASS, Delivered
from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.world import World

UNHEARD_S = 0.4
LEASES = 2.0  # how many leases the silence lasts


class Expiry(Fault):
    """`lease_ms` is that of the clients' sessions."""

    def __init__(self, lease_ms: int) -> None:
        self._lease_s = lease_ms / 1000
        self._copies: list[Delivered] = []

    def inject(self, world: World) -> None:
        for courier in world.couriers:
            courier.rule = lambda _call, _attempt: KEEP
        for link in world.first_links:
            link.add("timeout", "downstream", timeout=0)

    def hold(self, world: World, hold_s: float) -> None:
        world.wait(hold_s)
        for courier in world.couriers:
            courier.rule = lambda _call, _attempt: PASS
        for link in world.first_links:
            link.add("timeout", "upstream", timeout=0)
        world.wait(self._lease_s * LEASES)
        for link in world.first_links:
            link.heal()
        self._deliver(world)
        world.server.kill()
        world.server.restart()
        self._deliver(world)

    def heal(self, world: World) -> None:
        for courier in world.couriers:
            courier.rule = lambda _call, _attempt: PASS
        for link in world.first_links:
            link.heal()
        world.revive()

    def fired(self, counts: Counts) -> int:
        """Copies that were refused because their session had expired; without sessions, copies that arrived."""
        answers = Counter(copy.answer for copy in self._copies)
        return answers["session_unknown"] if counts.identified else len(self._copies) - answers["no answer"]

    def proof(self) -> list[str]:
        answers = Counter(copy.answer for copy in self._copies)
        return [f"{count} late copies were answered {answer}" for answer, count in answers.most_common()]

    def wrong(self, counts: Counts) -> list[str]:
        ran = sum(1 for copy in self._copies if copy.answer not in ("session_unknown", "no answer"))
        return [f"{ran} copies got another answer than session_unknown"] if ran and counts.identified else []

    def _deliver(self, world: World) -> None:
        for courier in world.couriers:
            self._copies += courier.deliver_kept()
