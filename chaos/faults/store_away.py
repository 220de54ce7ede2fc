"""The store is away: no link to any of its hosts says anything. The servers live on, and must not answer from memory.

While it is away no call may succeed, and the servers say by /readyz that they are of no use; when it is back they go
on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.judging.judge import shortened
from chaos.workload.workload import Workload

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["StoreAway"]

NOTICED_MAX_S = 20.0
BACK_MAX_S = 30.0


class StoreAway(Fault):
    """Silence, both ways. The base of other ways to be away."""

    def __init__(self) -> None:
        self._away_ms: tuple[float, float] | None = None
        self._noticed = False
        self._proof: list[str] = []
        self._workload: Workload | None = None

    def take_away(self, env: Environment) -> str:
        """What was done, in words."""
        for link in env.store.links:
            for stream in ("downstream", "upstream"):
                link.add("timeout", stream, timeout=0)
        return "every link to the store fell silent"

    def inject(self, env: Environment) -> None:
        """Before the calls that are kept back for it: it may take longer than all others do."""
        self._proof.append(self.take_away(env))

    def hold(self, env: Environment, hold_s: float) -> None:
        assert env.workload is not None
        self._workload = env.workload
        began_ms = env.workload.now_ms()
        env.wait_until(lambda: not any(map(env.is_ready, env.servers)), NOTICED_MAX_S, "no server is ready")
        self._noticed = True
        env.wait(hold_s)
        self._away_ms = (began_ms, env.workload.now_ms())

    def heal(self, env: Environment) -> None:
        env.store.restore()
        env.wait_until(lambda: all(map(env.is_ready, env.servers)), BACK_MAX_S, "every server is ready again")

    def fired(self, counts: Counts) -> int:
        """Attempts that ended while it was away, if every server noticed."""
        return self._attempts_meanwhile() if self._noticed else 0

    def proof(self) -> list[str]:
        return self._proof

    def wrong(self, counts: Counts) -> list[str]:
        """Calls that began while it was away and were told ok before it was back."""
        if self._workload is None or self._away_ms is None:
            return []
        began_ms, ended_ms = self._away_ms
        return shortened(
            f"{call.name} was told ok while the store was away"
            for call in [*self._workload.told, *self._workload.reads]
            if call.told == "ok" and began_ms <= call.began_ms and call.began_ms + call.took_ms <= ended_ms
        )

    def _attempts_meanwhile(self) -> int:
        if self._workload is None or self._away_ms is None:
            return 0
        began_ms, ended_ms = self._away_ms
        calls = [*self._workload.told, *self._workload.reads]
        ends = [attempt.began_ms + attempt.took_ms for call in calls for attempt in call.attempts]
        return sum(began_ms <= end_ms <= ended_ms for end_ms in ends)
