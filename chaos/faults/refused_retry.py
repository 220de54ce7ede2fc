"""The reply to an attempt is lost, and the next one is refused: by an overloaded server, or by a proxy's smaller limit.

    attempt 1   runs, its reply is lost           it may have run
    attempt 2   503 `overloaded`, or 413          this attempt surely did not

Both refusals are definite of the attempt, and say nothing of the call. Message proxies give them in the server's stead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.targeted_loss import Plans, TargetedLoss
from chaos.net.message_proxy import LOSE_REPLY, LOSE_REQUEST, REFUSE_413, REFUSE_503

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["PLANS", "RefusedRetry"]

PLANS: Plans = (
    (0.12, (LOSE_REPLY, REFUSE_413)),
    (0.12, (LOSE_REPLY, REFUSE_503)),
    (0.04, (LOSE_REPLY, REFUSE_503, REFUSE_413)),
    (0.04, (LOSE_REQUEST, REFUSE_413)),
    (0.07, (REFUSE_413,)),
    (0.07, (REFUSE_503,)),
)
"""As in `aimed_loss`. The last two are the other half of the promise: where nothing was lost, no is no."""


class RefusedRetry(TargetedLoss):
    """Message proxies lose and refuse what the plan says."""

    def __init__(self) -> None:
        super().__init__(PLANS)

    def is_felt(self, env: Environment) -> bool:
        """Whether somebody was told unknown: the reply was lost, and no retry may say what ran."""
        assert env.workload is not None
        return any(call.told == "unknown" for call in list(env.workload.told))

    def fired(self, counts: Counts) -> int:
        """Refusals that were handed to a client; where every call is tried again, only those of retries."""
        if counts.identified:
            return sum(proxy.refused_retries for proxy in self._proxies)
        return sum(proxy.refused for proxy in self._proxies)

    def proof(self) -> list[str]:
        lost = sum(proxy.lost_replies + proxy.lost_requests for proxy in self._proxies)
        retries = sum(proxy.refused_retries for proxy in self._proxies)
        return [f"{lost} messages were lost, and {retries} retries refused"]
