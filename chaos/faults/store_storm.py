"""Every few seconds somebody dies: one of the servers, and whoever leads the store. They come back; a primary does not,
once its standby has taken its place.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.runtime.base import ServerError

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

CALM_S = (0.5, 2.0)
LEADERLESS_S = 1.0


class StoreStorm(Fault):
    """`rounds`: of deaths, at most; it ends with the clients. `promotes`: the leader dies once, in the middle and for
    good, and the standby is promoted; else the leader dies in every round.
    """

    def __init__(self, rounds: int, *, promotes: bool) -> None:
        self._rounds = rounds
        self._promotes = promotes
        self._servers_killed = 0
        self._leaders: list[str] = []

    def hold(self, env: Environment, hold_s: float) -> None:
        assert env.workload is not None
        rng = random.Random(f"{env.seed}/deaths")
        for number in range(self._rounds):
            env.wait(rng.uniform(*CALM_S))
            if not env.workload.running():
                return
            half = env.workload.settled >= env.workload.total / 2 if env.workload.total else number >= self._rounds // 2
            if not self._promotes or (half and not self._leaders):
                self._leader_dies(env)
            server = rng.choice(env.servers)
            server.kill()
            self._servers_killed += 1
            env.wait(LEADERLESS_S)
            self._revive(env)
            if not self._promotes:
                env.store.restore()

    def heal(self, env: Environment) -> None:
        env.store.restore()
        env.revive()

    def fired(self, counts: Counts) -> int:
        """Deaths of leaders, if servers died as well."""
        return len(self._leaders) if self._servers_killed else 0

    def proof(self) -> list[str]:
        return [*self._leaders, f"{self._servers_killed} times SIGKILL to one of the servers"]

    def _revive(self, env: Environment) -> None:
        try:
            env.revive()
        except ServerError:  # on a busy machine it may find no leader in its time; then it is started again
            env.store.restore()
            env.revive()

    def _leader_dies(self, env: Environment) -> None:
        done = env.store.kill_leader()
        if self._promotes:
            done = f"{done}; {env.store.promote()}"
        self._leaders.append(done)
