"""Requests are doubled in flight: both copies reach the server at about the same moment, on two connections.

No retry is needed for a duplicate: what stands in the middle may make one by itself, of a call that was sent once.
Both copies are answered, and with an identity both are told the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault, wait_felt
from chaos.judging.judge import shortened
from chaos.net.message_proxy import DUPLICATE, PASS, MessageProxy
from chaos.net.replies import ReplySummary

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["DuplicateRequest", "is_doubled", "unlike"]

SHARE = 0.5


def is_doubled(seed: str, proxy: str, call: str) -> bool:
    """Whether the first attempt of a call is sent twice. Pure."""
    return random.Random(f"{seed}/{proxy}/{call}").random() < SHARE


class DuplicateRequest(Fault):
    """Message proxies double the first attempts of some calls. `at_two_servers`: each copy goes to one of its own."""

    def __init__(self, *, at_two_servers: bool = False) -> None:
        self._at_two_servers = at_two_servers
        self._shares_records = True
        self._proxies: Sequence[MessageProxy] = ()

    def inject(self, env: Environment) -> None:
        self._proxies = env.proxies
        if self._at_two_servers:
            self._shares_records = env.ask("server.info")["delivery"] == "persisted"
        for proxy in self._proxies:
            proxy.rule = _rule(env.seed, proxy.name)

    def hold(self, env: Environment, hold_s: float) -> None:
        env.wait(hold_s)
        wait_felt(env, lambda: any(proxy.doubled for proxy in env.proxies))

    def heal(self, env: Environment) -> None:
        for proxy in env.proxies:
            proxy.rule = lambda call, attempt: PASS

    def fired(self, counts: Counts) -> int:
        """Second copies that the server answered."""
        return sum(proxy.doubled for proxy in self._proxies)

    def wrong(self, counts: Counts) -> list[str]:
        """Calls whose copies were told different things, where whoever gets the second one knows of the first."""
        if not counts.identified or not self._shares_records:
            return []
        pairs = [pair for proxy in self._proxies for pair in proxy.pairs()]
        return shortened(f"{call}, sent twice, {wrong}" for call, *both in pairs if (wrong := unlike(*both)))


def unlike(one: ReplySummary, other: ReplySummary) -> str | None:
    """What is wrong with the replies to two copies of one call that has an identity, if anything. Pure.

    One of them may be stale: that copy was overtaken by the next call, which acknowledged this one; or its session may
    be unknown, for its client has finished and closed it. Both may be replayed: a retry overtook them.
    """
    settled = [said for said in (one, other) if said.settles]
    late = ("stale_call", "session_unknown") if settled else ("stale_call",)
    if any(not said.settles and said.answer not in late for said in (one, other)):
        return f"was answered {one.answer} and {other.answer}"
    if len(settled) == 2 and "replayed" not in (one.answer, other.answer):
        return "was run for both copies"
    if len(settled) == 2 and one.content != other.content:
        return f"was answered {one.content} and {other.content}"
    return None


def _rule(seed: str, proxy: str) -> Callable[[str, int], str]:
    def rule(call: str, attempt: int) -> str:
        return DUPLICATE if attempt == 1 and is_doubled(seed, proxy, call) else PASS

    return rule
