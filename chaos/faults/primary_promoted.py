"""The primary dies for good, and its standby is promoted.

A synchronous standby has all that was acknowledged. An asynchronous one has what has arrived; here its link falls
silent first, and what is acknowledged from then on is on the primary alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault, count_acknowledged, wait_struck

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

ACKNOWLEDGED_MIN = 5


class PrimaryPromoted(Fault):
    """`falls_behind`: the standby hears nothing of the last calls."""

    def __init__(self, *, falls_behind: bool = False) -> None:
        self._falls_behind = falls_behind
        self._promotions = 0
        self._proof: list[str] = []

    def inject(self, env: Environment) -> None:
        if self._falls_behind:
            env.store.stop_replication()

    def hold(self, env: Environment, hold_s: float) -> None:
        if self._falls_behind:
            self._wait_acknowledged(env)
        self._proof.append(env.store.kill_leader())
        env.wait(hold_s)
        self._proof.append(env.store.promote())
        self._promotions += 1

    def heal(self, env: Environment) -> None:
        env.store.restore()

    def fired(self, counts: Counts) -> int:
        """Promotions."""
        return self._promotions

    def proof(self) -> list[str]:
        return self._proof

    def _wait_acknowledged(self, env: Environment) -> None:
        acknowledged = count_acknowledged(env)
        what = "calls are acknowledged by the primary alone"
        wait_struck(env, lambda: acknowledged() >= ACKNOWLEDGED_MIN, what)
        self._proof.append(f"{acknowledged()} calls were told ok while the standby heard nothing")
