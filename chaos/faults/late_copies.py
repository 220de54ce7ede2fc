"""Copies of requests turn up again, long after their calls were settled, answered and acknowledged.

    keep copies ──► let the clients go on ──► (kill and restart the server) ──► deliver the copies

By then the clients have acknowledged those calls with later ones, so the records are gone; after the restart, memory is
gone too. What is left to tell a copy from a new call is the watermark, if it was kept where it lasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chaos.courier import KEEP, LOSE_REQUEST, PASS, Delivered
from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.world import World

__all__ = ["LateCopies", "late"]

ACKNOWLEDGE_S = 0.4  # several calls of each client: each acknowledges all before it


class LateCopies(Fault):
    """`restart`: the server is killed and started again before the copies come."""

    def __init__(self, *, restart: bool) -> None:
        self._restart = restart
        self.delivered: list[Delivered] = []

    def inject(self, world: World) -> None:
        _tell_all(world, lambda call, attempt: KEEP)

    def hold(self, world: World, hold_s: float) -> None:
        world.wait(hold_s)
        _tell_all(world, lambda call, attempt: PASS)
        world.wait(ACKNOWLEDGE_S)
        if self._restart:
            # A client's next call would acknowledge anew, and tell a server that forgot the watermark what it was. It
            # must come after the copies, as it may in any network.
            _tell_all(world, lambda call, attempt: LOSE_REQUEST)
            world.server.kill()
            world.server.restart()
        for courier in world.couriers:
            self.delivered += courier.deliver_kept(forget=True)

    def heal(self, world: World) -> None:
        _tell_all(world, lambda call, attempt: PASS)
        world.revive()

    def fired(self, counts: Counts) -> int:
        """Copies that the server took for new calls, or refused as acknowledged ones."""
        return late(self.delivered)

    def proof(self) -> list[str]:
        answers = Counter(copy.answer for copy in self.delivered)
        return [f"{count} late copies were answered {answer}" for answer, count in answers.most_common()]


def late(delivered: Sequence[Delivered]) -> int:
    """How many copies were late for certain. Pure.

    One that got a replay came before the acknowledgement; one without an answer proves nothing.
    """
    answers = Counter(copy.answer for copy in delivered)
    return answers["ok"] + answers["stale_call"]


def _tell_all(world: World, rule: Callable[[str, int], str]) -> None:
    for courier in world.couriers:
        courier.rule = rule
