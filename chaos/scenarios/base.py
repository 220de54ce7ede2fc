"""What a scenario is: a fault, when it strikes, how patient the clients are, and which cells must come out red.

A cell that must be red is a control: if it stays green, the fault missed, and the run says so instead of praising
the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chaos.faults.base import Fault

__all__ = ["AT_LEAST_ONCE", "AT_MOST_ONCE", "EXACTLY_ONCE", "MAYBE", "MEMORY", "Scenario"]

MAYBE = "maybe"
AT_LEAST_ONCE = "at-least-once"
MEMORY = "at-most-once/memory"
AT_MOST_ONCE = "at-most-once"
EXACTLY_ONCE = "exactly-once"


@dataclass(frozen=True)
class Scenario:
    """One row of the table. Times in seconds.

    order: where the lecture tells it. strikes_at: fractions of the workload after which the fault goes in, each time
    held for `hold_s` (some faults: until it has done its work). call_timeout_s: the deadline of one call, but under
    exactly-once, which has none. must_be_red: columns in which some call must come out with two effects or more.
    may_break: columns whose promise this fault may break. must_break: those that it surely breaks, controls too.
    spare_link: clients have a second link. runtimes: where it can be had; empty means everywhere.
    """

    name: str
    order: int
    lecture: str
    fault: Callable[[], Fault]
    strikes_at: tuple[float, ...] = (0.25,)
    hold_s: float = 0.7
    attempt_timeout_s: float = 0.25
    call_timeout_s: float = 20.0
    must_be_red: frozenset[str] = frozenset()
    may_break: frozenset[str] = frozenset()
    must_break: frozenset[str] = frozenset()
    spare_link: bool = False
    runtimes: frozenset[str] = frozenset()

    def runs_on(self, runtime: str) -> bool:
        """Whether that runtime can have this fault."""
        return not self.runtimes or runtime in self.runtimes

    @property
    def has_fault(self) -> bool:
        return bool(self.strikes_at)
