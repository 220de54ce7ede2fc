"""What the checker answers: for every key an order that fits, or where and why none does, or that it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.judging.checker.history import Operation

__all__ = ["Counterexample", "KeyVerdict", "Obstacle", "Step", "Verdict"]


@dataclass(frozen=True)
class Step:
    """An operation in an order, and the state after it, in words."""

    operation: Operation
    state: str


@dataclass(frozen=True)
class Obstacle:
    """An operation that could have come next, and why no order goes on with it."""

    operation: Operation
    reason: str


@dataclass(frozen=True)
class Counterexample:
    """The shortest beginning of a key's history that no order fits, and how far orders of it get.

    line: its last event's. last: the operation that this event completes. events: how many of the key it has, and of
    how many. is_shortest: False if the search for a shorter one ran out of time. order: the longest that fits, its
    last steps; order_length: all of it. state: what the key is then. obstacles: what could have come next.
    """

    line: int
    last: Operation
    events: int
    events_total: int
    is_shortest: bool
    order: tuple[Step, ...]
    order_length: int
    state: str
    obstacles: tuple[Obstacle, ...]


@dataclass(frozen=True)
class KeyVerdict:
    """holds: True, False, or None for unknown, when `ran_out` says of what.

    order: where it holds, the operations in an order that fits; pending ones that need not have happened are not in
    it. key: None for a register without keys. operations, pending, failed: how many it has.
    """

    key: str | None
    holds: bool | None
    operations: int
    pending: int
    failed: int
    configurations: int
    order: tuple[Operation, ...] = ()
    counterexample: Counterexample | None = None
    ran_out: str = ""


@dataclass(frozen=True)
class Verdict:
    """Of a whole history: it is linearizable when every key is, and is not as soon as one is not.

    Limit: of a history in which nobody was told ok this is true and says nothing (`is_empty`): that is not a pass.
    """

    model: str
    keys: tuple[KeyVerdict, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is no reply that an order could contradict: no operation, or none that was told ok."""
        return all(key.operations == key.pending + key.failed for key in self.keys)

    @property
    def holds(self) -> bool | None:
        """True, False, or None for unknown."""
        told = {key.holds for key in self.keys}
        if False in told:
            return False
        return None if None in told else True

    @property
    def word(self) -> str:
        if self.is_empty:
            return "nothing to judge"
        return {True: "linearizable", False: "not linearizable", None: "unknown"}[self.holds]
