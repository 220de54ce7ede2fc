"""The server takes longer over calls than the client waits, at each place where one can stand: before it runs, when its
effect is done and not committed, when it is committed and not answered (failpoints, `sleep`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault, wait_struck

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

FAILPOINTS = ("before_execute", "after_execute", "after_commit")
SLEEP_MS = 400


class SlowServer(Fault):
    """Two calls stand still at each failpoint."""

    def inject(self, env: Environment) -> None:
        for name in FAILPOINTS:
            env.ask("debug.failpoint", name=name, action=f"sleep:{SLEEP_MS}", count=2)

    def hold(self, env: Environment, hold_s: float) -> None:
        def all_have_held() -> bool:
            return all(env.ask("debug.failpoints")["failpoints"][name] for name in FAILPOINTS)

        wait_struck(env, all_have_held, "a call has stood still at each failpoint")
        env.wait(hold_s)

    def heal(self, env: Environment) -> None:
        if env.server.returncode is None:
            for name in FAILPOINTS:
                env.ask("debug.failpoint", name=name, action="drop", count=0)

    def fired(self, counts: Counts) -> int:
        """Times a failpoint held a call, if each of them did, and if clients stopped waiting meanwhile."""
        held = [counts.failpoints.get(name, 0) for name in FAILPOINTS]
        return min(sum(held), counts.unheard) if all(held) else 0
