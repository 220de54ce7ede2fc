"""Replies are lost, and while nobody hears anything the server dies and comes back on the same disk.

So every retry of a call that ran meets a server that has not seen it in this life.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class Restart(Fault):
    """Silence on the way back, SIGKILL, restart, and only then are the links healed."""

    def __init__(self) -> None:
        self._ran_unheard = 0
        self._restarts = 0

    def inject(self, env: Environment) -> None:
        for link in env.links:
            link.add("timeout", "downstream", timeout=0)

    def hold(self, env: Environment, hold_s: float) -> None:
        before = env.arrived()
        env.wait(hold_s)
        self._ran_unheard += env.arrived() - before
        env.server.kill()
        env.server.restart()
        self._restarts += 1

    def heal(self, env: Environment) -> None:
        env.revive()
        for link in env.links:
            link.heal()

    def fired(self, counts: Counts) -> int:
        """Attempts that arrived, unheard, before a restart."""
        return self._ran_unheard if self._restarts else 0
