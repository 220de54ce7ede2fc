"""The server kills itself with SIGKILL at a failpoint, while a call of the workload stands there; then it restarts."""

from __future__ import annotations

import contextlib

from chaos.evidence import Counts
from chaos.faults.base import Fault, wait_struck
from chaos.runner.environment import Environment, EnvironmentFailed, TimedOut
from chaos.runtime.base import ServerError

DYING_MAX_S = 1.0


class Crash(Fault):
    """`failpoint` is before_execute, after_execute or after_commit."""

    def __init__(self, failpoint: str) -> None:
        self._failpoint = failpoint
        self._deaths = self._before = 0

    def inject(self, env: Environment) -> None:
        self._before = env.server.crashes
        # The crash may come before the reply that says that it is armed; whether it came, `hold` finds out.
        with contextlib.suppress(EnvironmentFailed):
            env.ask("debug.failpoint", name=self._failpoint, action="crash")

    def hold(self, env: Environment, hold_s: float) -> None:
        """Until it is dead, or no call can come any more: who does not retry may be through after a long outage."""
        assert env.workload is not None
        running, server = env.workload.running, env.server

        def has_crashed() -> bool:
            if server.crashes > self._before:
                return True
            if (code := server.returncode) is not None and code >= 0:
                raise EnvironmentFailed(f"the server ended with {code}, and not by its failpoint")
            return False

        what = f"a call comes to {self._failpoint}"
        wait_struck(env, lambda: has_crashed() or not running(), what)
        with contextlib.suppress(TimedOut):
            env.wait_until(has_crashed, DYING_MAX_S, "it is dead")
        self._deaths += server.crashes > self._before
        env.wait(hold_s)

    def heal(self, env: Environment) -> None:
        if env.server.returncode is None:
            try:
                env.ask("debug.failpoint", name=self._failpoint, action="crash", count=0)
            except EnvironmentFailed:  # a call may come to it at this very moment
                with contextlib.suppress(ServerError):
                    env.server.wait_dead(DYING_MAX_S)
        env.revive()

    def fired(self, counts: Counts) -> int:
        """Deaths by a signal while the failpoint was armed."""
        return self._deaths
