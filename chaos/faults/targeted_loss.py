"""Single messages are lost, chosen beforehand: the 1st request of this call, the 2nd reply of that one.

Silence on a link (`blackhole`) takes whatever comes while it lasts. This takes aim: which messages of which call are
lost is a pure function of the seed, so the same run again loses the same messages of every call that it gets to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault, wait_felt
from chaos.net.message_proxy import LOSE_REPLY, LOSE_REQUEST, PASS, MessageProxy

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["PLANS", "Plans", "TargetedLoss", "plan_for"]

Plans = tuple[tuple[float, tuple[str, ...]], ...]

PLANS: Plans = (
    (0.12, (LOSE_REPLY,)),
    (0.08, (LOSE_REQUEST,)),
    (0.08, (LOSE_REQUEST, LOSE_REPLY)),
    (0.06, (LOSE_REPLY, LOSE_REPLY)),
    (0.04, (LOSE_REPLY, LOSE_REQUEST, LOSE_REPLY)),
)
"""The share of the calls, and what becomes of their attempts, from the first on. All others pass."""


def plan_for(seed: str, proxy: str, call: str, plans: Plans = PLANS) -> tuple[str, ...]:
    """What becomes of the first attempts of a call; empty: nothing. Pure."""
    draw = random.Random(f"{seed}/{proxy}/{call}").random()
    for share, plan in plans:
        if draw < share:
            return plan
        draw -= share
    return ()


class TargetedLoss(Fault):
    """Message proxies do what the plan of a call says."""

    def __init__(self, plans: Plans = PLANS) -> None:
        self._plans = plans
        self._proxies: Sequence[MessageProxy] = ()

    def inject(self, env: Environment) -> None:
        self._proxies = env.proxies
        for proxy in self._proxies:
            proxy.rule = _rule(env.seed, proxy.name, self._plans)

    def hold(self, env: Environment, hold_s: float) -> None:
        env.wait(hold_s)
        wait_felt(env, lambda: self.is_felt(env))

    def is_felt(self, env: Environment) -> bool:
        """Whether what must come of it has come."""
        return any(proxy.lost_replies for proxy in env.proxies)

    def heal(self, env: Environment) -> None:
        for proxy in env.proxies:
            proxy.rule = lambda call, attempt: PASS

    def fired(self, counts: Counts) -> int:
        """Requests that were read and not passed on, and replies that the server sent and nobody got."""
        return sum(proxy.lost_requests + proxy.lost_replies for proxy in self._proxies)


def _rule(seed: str, proxy: str, plans: Plans) -> Callable[[str, int], str]:
    def rule(call: str, attempt: int) -> str:
        plan = plan_for(seed, proxy, call, plans)
        return plan[attempt - 1] if attempt <= len(plan) else PASS

    return rule
