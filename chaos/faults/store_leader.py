"""The host of the store that takes the writes is gone: dead and started again on its disk, or silent for a while.

Where there are others they go on without it; where there is none, all waits until it is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from chaos.evidence import Counts
from chaos.faults.base import Fault, wait_felt

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class StoreLeaderGone(Fault):
    """`how`: it dies by SIGKILL, or stands still. `others_go_on`: calls must be answered before it is back."""

    def __init__(self, how: Literal["dies", "falls silent"], *, others_go_on: bool) -> None:
        self._how = how
        self._others_go_on = others_go_on
        self._struck: list[str] = []
        self._answered = 0

    def inject(self, env: Environment) -> None:
        self._struck.append(env.store.kill_leader() if self._how == "dies" else env.store.pause_leader())

    def hold(self, env: Environment, hold_s: float) -> None:
        began_ms = env.workload.now_ms() if env.workload else 0.0
        env.wait(hold_s)
        if self._others_go_on:
            wait_felt(env, lambda: _answered_since(env, began_ms) > 0)
        self._answered += _answered_since(env, began_ms)

    def heal(self, env: Environment) -> None:
        env.store.restore()

    def fired(self, counts: Counts) -> int:
        """Times it struck, or calls that began and were answered without it, where there must be some."""
        return self._answered if self._others_go_on else len(self._struck)

    def proof(self) -> list[str]:
        return [*self._struck, f"{self._answered} calls began and were told ok while it was gone"]


def _answered_since(env: Environment, began_ms: float) -> int:
    assert env.workload is not None
    return sum(call.told == "ok" and call.began_ms >= began_ms for call in env.workload.told)
