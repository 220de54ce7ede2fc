"""The server kills itself with SIGKILL at a failpoint, while a call of the workload stands there; then it restarts."""

from __future__ import annotations

import contextlib

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.runtime.base import ServerError
from chaos.world import World, WorldError

DEATH_MAX_S = 10.0


class Crash(Fault):
    """`failpoint` is before_execute, after_execute or after_commit."""

    def __init__(self, failpoint: str) -> None:
        self._failpoint = failpoint
        self._deaths = 0

    def inject(self, world: World) -> None:
        # The crash may come before the reply that says that it is armed; whether it came, `hold` finds out.
        with contextlib.suppress(WorldError):
            world.ask("debug.failpoint", name=self._failpoint, action="crash")

    def hold(self, world: World, hold_s: float) -> None:
        try:
            code = world.server.wait_dead(DEATH_MAX_S)
        except ServerError:
            raise WorldError(f"no call came to {self._failpoint} within {DEATH_MAX_S:g} s") from None
        self._deaths += code < 0
        world.wait(hold_s)

    def heal(self, world: World) -> None:
        if world.server.returncode is None:
            world.ask("debug.failpoint", name=self._failpoint, action="crash", count=0)
        world.revive()

    def fired(self, counts: Counts) -> int:
        """Deaths by a signal while the failpoint was armed."""
        return self._deaths
