"""Single messages are lost, chosen beforehand: the 1st request of this call, the 2nd reply of that one.

Silence on a link (`silence`) takes whatever comes while it lasts. This takes aim: which messages of which call are lost
is a pure function of the seed, so the same run again loses the same messages of every call that it gets to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chaos.courier import LOSE_REPLY, LOSE_REQUEST, PASS, Courier
from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.world import World

__all__ = ["PLANS", "AimedLoss", "Plans", "plan_for"]

Plans = tuple[tuple[float, tuple[str, ...]], ...]

PLANS: Plans = (
    (0.12, (LOSE_REPLY,)),
    (0.08, (LOSE_REQUEST,)),
    (0.08, (LOSE_REQUEST, LOSE_REPLY)),
    (0.06, (LOSE_REPLY, LOSE_REPLY)),
    (0.04, (LOSE_REPLY, LOSE_REQUEST, LOSE_REPLY)),
)
"""The share of the calls, and what becomes of their attempts, from the first on. All others pass."""


def plan_for(seed: str, courier: str, call: str, plans: Plans = PLANS) -> tuple[str, ...]:
    """What becomes of the first attempts of a call; empty: nothing. Pure."""
    draw = random.Random(f"{seed}/{courier}/{call}").random()
    for share, plan in plans:
        if draw < share:
            return plan
        draw -= share
    return ()


class AimedLoss(Fault):
    """Couriers do what the plan of a call says."""

    def __init__(self, plans: Plans = PLANS) -> None:
        self._plans = plans
        self._couriers: Sequence[Courier] = ()

    def inject(self, world: World) -> None:
        self._couriers = world.couriers
        for courier in self._couriers:
            courier.rule = _rule(world.seed, courier.name, self._plans)

    def heal(self, world: World) -> None:
        for courier in world.couriers:
            courier.rule = lambda call, attempt: PASS

    def fired(self, counts: Counts) -> int:
        """Requests that were read and not passed on, and replies that the server sent and nobody got."""
        return sum(courier.lost_requests + courier.lost_replies for courier in self._couriers)


def _rule(seed: str, courier: str, plans: Plans) -> Callable[[str, int], str]:
    def rule(call: str, attempt: int) -> str:
        plan = plan_for(seed, courier, call, plans)
        return plan[attempt - 1] if attempt <= len(plan) else PASS

    return rule
