"""The server's clock jumps: the wall clock while it runs, both clocks while it is down, forward and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

HOUR_S = 3600
SHORT_LEASE_MS = 300
LONGER_MAX_MS = {"etcd": 1000}
"""By which a lease may be longer than it was asked for, where the store is one of these (docs/stores.md)."""


class ClockJump(Fault):
    """An hour on, restart, two hours back, restart; replies are lost meanwhile, so that retries meet every clock.

    A lease that is over must be over on whatever clock: of a session of the fault's own, opened before each jump with a
    short lease, it is seen.
    """

    def __init__(self) -> None:
        self._immortal = 0
        self._seen: list[str] = []

    def inject(self, env: Environment) -> None:
        for link in env.links:
            link.add("timeout", "downstream", timeout=0)

    def hold(self, env: Environment, hold_s: float) -> None:
        longer_ms = LONGER_MAX_MS.get(env.ask("server.info")["store"], 0)
        for offset_s in (HOUR_S, -HOUR_S):
            session = env.ask("session.open", lease_ms=SHORT_LEASE_MS)["session"]
            self._jump(env, offset_s)
            env.wait(hold_s)
            env.server.kill()
            env.server.restart()
            env.wait((2 * SHORT_LEASE_MS + longer_ms) / 1000)
            self._expect_expired(env, session)

    def heal(self, env: Environment) -> None:
        self._jump(env, 0)
        env.revive()
        for link in env.links:
            link.heal()

    def fired(self, counts: Counts) -> int:
        """Clocks that the server looked at while they were off."""
        return sum(1 for seen in self._seen if not seen.endswith(" 0"))

    def proof(self) -> list[str]:
        return [f"the server looked at its {seen} s off" for seen in self._seen]

    def wrong(self, counts: Counts) -> list[str]:
        return [f"{self._immortal} sessions outlived their leases"] if self._immortal else []

    def _jump(self, env: Environment, offset_s: int) -> None:
        assert env.server.clock is not None, "the scenario has own_clock=True"
        env.server.clock.set(offset_s)
        self._seen = env.server.clock.seen()

    def _expect_expired(self, env: Environment, session: str) -> None:
        meta = {"session": session, "seq": 1}
        reply = env.reply_at(env.server.url, "kv.put", {"key": "steady/clock", "value": "x", "_meta": meta})
        if reply.get("error", {}).get("data", {}).get("name") != "session_unknown":
            self._immortal += 1
