"""Attempts are held back on the way there and arrive much later, when the client has long closed the connection.

The client's retry overtakes them on its second link, so the server gets them as late duplicates. Toxiproxy can hold
bytes back too (toxic `latency`), but when they come the end of their connection comes with them, and a server that is
busy sees both at once and may leave the request alone. A courier delivers them on connections that stay.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.net.message_proxy import HOLD, PASS, Delivered

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["DelayedRequest"]

OVERTAKE_S = 0.6  # beyond what clients wait, retry included


class DelayedRequest(Fault):
    """What comes by the first links is held, what comes by the second ones is not."""

    def __init__(self) -> None:
        self.delivered: list[Delivered] = []

    def inject(self, env: Environment) -> None:
        for proxy in env.proxies:
            proxy.rule = lambda _call, _attempt: HOLD

    def hold(self, env: Environment, hold_s: float) -> None:
        env.wait(hold_s)
        self.heal(env)
        env.wait(OVERTAKE_S)
        for proxy in env.proxies:
            self.delivered += proxy.deliver_kept(forget=True)

    def heal(self, env: Environment) -> None:
        for proxy in env.proxies:
            proxy.rule = lambda _call, _attempt: PASS

    def fired(self, counts: Counts) -> int:
        """Attempts that the server answered when their clients had stopped waiting."""
        return sum(1 for copy in self.delivered if copy.answer != "no answer")

    def proof(self) -> list[str]:
        answers = Counter(copy.answer for copy in self.delivered)
        return [
            f"{count} attempts that were held back were answered {answer}" for answer, count in answers.most_common()
        ]
