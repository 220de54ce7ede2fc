"""Replies are lost, then clients are cut off for longer than their sessions' lease. Copies of their calls arrive after
that, and once more after a restart.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.net.message_proxy import KEEP_COPY, PASS, Delivered

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

UNHEARD_S = 0.4
LEASES = 3.0  # how many leases the silence lasts: a busy machine may hear of the last call late


class SessionExpiry(Fault):
    """`lease_ms` is that of the clients' sessions."""

    def __init__(self, lease_ms: int) -> None:
        self._lease_s = lease_ms / 1000
        self._copies: list[Delivered] = []

    def inject(self, env: Environment) -> None:
        for proxy in env.proxies:
            proxy.rule = lambda _call, _attempt: KEEP_COPY
        for link in env.first_links:
            link.add("timeout", "downstream", timeout=0)

    def hold(self, env: Environment, hold_s: float) -> None:
        env.wait(hold_s)
        for proxy in env.proxies:
            proxy.rule = lambda _call, _attempt: PASS
        for link in env.first_links:
            link.add("timeout", "upstream", timeout=0)
        env.wait(self._lease_s * LEASES)
        for link in env.first_links:
            link.heal()
        self._deliver(env)
        env.server.kill()
        env.server.restart()
        self._deliver(env)

    def heal(self, env: Environment) -> None:
        for proxy in env.proxies:
            proxy.rule = lambda _call, _attempt: PASS
        for link in env.first_links:
            link.heal()
        env.revive()

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

    def _deliver(self, env: Environment) -> None:
        for proxy in env.proxies:
            self._copies += proxy.deliver_kept()
