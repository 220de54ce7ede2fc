"""A server's commit gets no answer: its connection to the store ends when the request has gone. The store has committed
by then, or the request is still on its way and comes later.

Either way the server cannot tell, and has to find out before it says anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from chaos.evidence import Counts
from chaos.faults.base import Fault, wait_struck

if TYPE_CHECKING:
    from chaos.net.holding_link import Fate, HoldingLink
    from chaos.runner.environment import Environment

TIMES = 6
LATE_S = 0.5


class StoreReplyLost(Fault):
    """`when`: the commit happens before the connection ends, or LATE_S after it."""

    def __init__(self, when: Literal["before", "after"]) -> None:
        self._fate: Fate = "answered to nobody" if when == "before" else "held back"
        self._committed = self._refused = 0

    def hold(self, env: Environment, hold_s: float) -> None:
        assert env.workload is not None
        running = env.workload.running
        aims = env.store.aims
        for _ in range(TIMES):
            for aim in aims:
                aim.take(env.store.commits, self._fate)
            wait_struck(env, lambda: any(aim.taken.is_set() for aim in aims) or not running(), "a commit is on its way")
            for aim in aims:
                aim.take_nothing()
            self._take_stock(env, [aim for aim in aims if aim.taken.is_set()])
            if not running():
                return
            env.wait(hold_s)

    def heal(self, env: Environment) -> None:
        env.store.restore()

    def fired(self, counts: Counts) -> int:
        """Commits whose answers the store gave and nobody heard."""
        return self._committed + self._refused

    def proof(self) -> list[str]:
        words = "answered to nobody" if self._fate == "answered to nobody" else f"delivered {LATE_S:g} s late"
        return [f"of the requests {words}, the store committed {self._committed} and refused {self._refused}"]

    def _take_stock(self, env: Environment, taken: list[HoldingLink]) -> None:
        if self._fate == "held back" and taken:
            env.wait(LATE_S)
        for aim in taken:
            answer = aim.answer if self._fate == "answered to nobody" else aim.release()
            self._committed += env.store.committed in answer
            self._refused += bool(answer) and env.store.committed not in answer
