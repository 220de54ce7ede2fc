"""Requests are doubled in flight: both copies reach the server at about the same moment, on two connections.

No retry is needed for a duplicate: what stands in the middle may make one by itself, of a call that was sent once.
Both copies are answered, and with an identity both are told the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chaos.courier import PASS, TWICE, Courier
from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.judge import shortened
from chaos.replies import Said

if TYPE_CHECKING:
    from chaos.world import World

__all__ = ["Twice", "is_doubled", "unlike"]

SHARE = 0.5


def is_doubled(seed: str, courier: str, call: str) -> bool:
    """Whether the first attempt of a call is sent twice. Pure."""
    return random.Random(f"{seed}/{courier}/{call}").random() < SHARE


class Twice(Fault):
    """Couriers double the first attempts of some calls."""

    def __init__(self) -> None:
        self._couriers: Sequence[Courier] = ()

    def inject(self, world: World) -> None:
        self._couriers = world.couriers
        for courier in self._couriers:
            courier.rule = _rule(world.seed, courier.name)

    def heal(self, world: World) -> None:
        for courier in world.couriers:
            courier.rule = lambda call, attempt: PASS

    def fired(self, counts: Counts) -> int:
        """Second copies that the server answered."""
        return sum(courier.doubled for courier in self._couriers)

    def wrong(self, counts: Counts) -> list[str]:
        """Calls whose copies were told different things."""
        if not counts.identified:
            return []
        pairs = [pair for courier in self._couriers for pair in courier.pairs()]
        return shortened(f"{call}, sent twice, {wrong}" for call, *both in pairs if (wrong := unlike(*both)))


def unlike(one: Said, other: Said) -> str | None:
    """What is wrong with the replies to two copies of one call that has an identity, if anything. Pure.

    One of them may be stale: that copy was overtaken by the next call, which acknowledged this one. Both may be
    replayed: a retry overtook them.
    """
    settled = [said for said in (one, other) if said.settles]
    if any(not said.settles and said.answer != "stale_call" for said in (one, other)):
        return f"was answered {one.answer} and {other.answer}"
    if len(settled) == 2 and "replayed" not in (one.answer, other.answer):
        return "was run for both copies"
    if len(settled) == 2 and one.content != other.content:
        return f"was answered {one.content} and {other.content}"
    return None


def _rule(seed: str, courier: str) -> Callable[[str, int], str]:
    def rule(call: str, attempt: int) -> str:
        return TWICE if attempt == 1 and is_doubled(seed, courier, call) else PASS

    return rule
