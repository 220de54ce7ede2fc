"""What every fault can do. A new fault is one new file with a class like this; scenarios name it, nothing else does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.runner.environment import EnvironmentFailed, FaultMissed, TimedOut

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["Fault", "count_acknowledged", "wait_felt", "wait_struck"]

FELT_MAX_S = 20.0
STRUCK_MAX_S = 60.0


def wait_felt(env: Environment, is_felt: Callable[[], bool]) -> None:
    """On a busy machine few calls come in the time that a fault is held: wait until it is felt, or none can come."""
    assert env.workload is not None
    running = env.workload.running
    with contextlib.suppress(EnvironmentFailed):  # the verdict finds out
        env.wait_until(lambda: is_felt() or not running(), FELT_MAX_S, "the fault is felt")


def wait_struck(env: Environment, has_struck: Callable[[], bool], what: str) -> None:
    """Wait for what the fault cannot do without. Raises FaultMissed when it does not come."""
    try:
        env.wait_until(has_struck, STRUCK_MAX_S, what)
    except TimedOut as error:
        raise FaultMissed(str(error)) from error


def count_acknowledged(env: Environment) -> Callable[[], int]:
    """Says, whenever it is asked, how many of the calls that began from now on were told ok."""
    assert env.workload is not None
    told = env.workload.told
    before, began_ms = len(told), env.workload.now_ms()
    return lambda: sum(call.told == "ok" and call.began_ms >= began_ms for call in told[before:])


class Fault:
    """No fault: the healthy system. The base of all others, which override what they need."""

    def inject(self, env: Environment) -> None:
        """Put the fault in."""

    def hold(self, env: Environment, hold_s: float) -> None:
        """Leave it in, for `hold_s` or until it has done its work."""
        env.wait(hold_s)

    def heal(self, env: Environment) -> None:
        """Take it out; harmless when it is not in, so that it can be called whatever went wrong."""

    def fired(self, counts: Counts) -> int:
        """How often it provably struck: attempts counted from both ends, deaths, answers; never the intention."""
        return 0

    def proof(self) -> list[str]:
        """What else it saw that belongs to the evidence, in words."""
        return []

    def wrong(self, counts: Counts) -> list[str]:
        """What it saw go wrong by itself; the cell fails for it."""
        return []
