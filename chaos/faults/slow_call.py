"""The server takes longer over a call than the client waits (failpoint `before_execute`, sleep)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class SlowCall(Fault):
    """`sleep_ms` must be longer than the clients' attempt timeout, or there is no duplicate."""

    def __init__(self, sleep_ms: int) -> None:
        self._sleep_ms = sleep_ms

    def inject(self, env: Environment) -> None:
        env.ask("debug.failpoint", name="before_execute", action=f"sleep:{self._sleep_ms}")

    def heal(self, env: Environment) -> None:
        if env.server.returncode is None:
            env.ask("debug.failpoint", name="before_execute", action="drop", count=0)

    def fired(self, counts: Counts) -> int:
        """Times the failpoint held a call, if clients stopped waiting meanwhile."""
        return min(counts.failpoints.get("before_execute", 0), counts.unheard)
