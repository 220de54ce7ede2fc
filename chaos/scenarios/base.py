"""What a scenario is: a fault, when it strikes, how patient the clients are, and which cells must come out red.

A cell that must be red is a control: if it stays green, the fault missed, and the run says so instead of praising
the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chaos.faults.base import Fault

__all__ = ["AT_LEAST_ONCE", "MEMORY", "Scenario"]

AT_LEAST_ONCE = "at-least-once"
MEMORY = "at-most-once/memory"


@dataclass(frozen=True)
class Scenario:
    """One row of the table. Times in seconds.

    order: where the lecture tells it. strikes_at: fractions of the workload after which the fault goes in, each time
    held for `hold_s` (some faults: until it has done its work). call_timeout_s: the deadline of one call, but under
    exactly-once, which has none. must_be_red: columns in which some call must come out with two effects or more.
    may_break: columns whose promise this fault is known to break. spare_link: clients have a second link.
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
    spare_link: bool = False

    @property
    def has_fault(self) -> bool:
        return bool(self.strikes_at)
