"""Is there an order of these operations, one at a time, that fits what everybody was told and when?

Wing & Gong, "Testing and Verifying Concurrent Objects" (1993): take, out of the operations that no other had to
precede, one that fits the state; go on with the rest; go back when none fits. Lowe, "Testing for Linearizability"
(2017): remember each configuration (what was taken, and the state), and never enter one twice; keep the operations
that are left in a doubly linked list, so that taking one out and putting it back are cheap.

    lines       1   2   3   4   5   6
    put "a"     |-------|               An operation may be taken while its invoke is before the first completion
    put "b"         |-----------|       that is left: here "a" or "b" and, once "a" is taken, the get too.
    get                     |-------|

An operation whose outcome is unknown has no completion: it may be taken at any time after its invoke, and need never
be. Three rules keep them from costing a search through all their subsets, and none changes a verdict:

- An operation that can only read and fits is taken at once, without alternatives: wherever an order has it, it might
  as well stand here, as it leaves the state as it is.
- Of pending operations that nobody can tell apart, the one invoked first goes first: any order can be renamed to that.
- A configuration is not entered when another with the same completed operations, the same state, and a subset of the
  pending ones used, was: whatever the second can still do, the first could do with more left over.

Guarantee: the answer is exact, or says what ran out. Limit: the problem is NP-complete, so that something may.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chaos.judging.checker.history import Operation
from chaos.judging.checker.models.base import Rules, State

__all__ = ["Found", "Limits", "Search", "Stuck"]

TELL_EVERY = 1024
_END = -1

Path = tuple["Path", Operation, State] | None  # the operations taken, last first


@dataclass(frozen=True)
class Limits:
    """clock: seconds, from any origin; deadline on the same. configurations_max: how many may be remembered."""

    clock: Callable[[], float]
    deadline_s: float
    configurations_max: int
    progress: Callable[[int], None] = lambda configurations: None


@dataclass(frozen=True)
class Stuck:
    """The furthest point that was reached: operations taken, the state then, and those that could have come next."""

    order: tuple[tuple[Operation, State], ...]
    state: State
    candidates: tuple[Operation, ...]


@dataclass(frozen=True)
class Found:
    """holds: True, False, or None when `ran_out` of something. order: the one that fits. stuck: where none did.

    reached: how many completions of the history, from its beginning, some order got past.
    """

    holds: bool | None
    order: tuple[tuple[Operation, State], ...] = ()
    stuck: Stuck | None = None
    reached: int = 0
    configurations: int = 0
    ran_out: str = ""


class Search:
    """One search through one key's operations, in the order of their invokes. `run` it once."""

    def __init__(self, rules: Rules, limits: Limits) -> None:
        self._rules = rules
        self._limits = limits
        self._operations: Sequence[Operation] = rules.operations
        self._bit, self._deadline = _ranked(self._operations)
        self._completed = [operation.completed for operation in self._operations if operation.completed is not None]
        self._completed.sort()
        self._twin = _twins(rules, self._operations)
        self._next, self._previous = _linked(len(self._operations))
        self._taken = 0  # completed operations, a bit each, in the order of their completions
        self._used = 0  # pending operations, a bit each, in the order of their invokes
        self._seen: dict[tuple[int, int, State], list[int]] = {}
        self._configurations = 0
        self._best: tuple[int, int] = (-1, -1)
        self._best_path: Path = None

    def run(self) -> Found:
        """Search until an order is found, all have failed, or a limit is reached."""
        path: Path = None
        self._enter(path)
        branches = [self._successors(self._rules.start)]
        chosen: list[int] = []
        while not self._is_done():
            if ran_out := self._ran_out():
                return self._found(None, ran_out)
            number, state = next(branches[-1], (_END, None))
            if number != _END:
                self._take(number)
                if self._is_new(state):
                    path = (path, self._operations[number], state)
                    chosen.append(number)
                    self._enter(path)
                    branches.append(self._successors(state))
                else:
                    self._put_back(number)
            elif chosen:
                branches.pop()
                self._put_back(chosen.pop())
                path = path[0] if path else None
            else:
                return self._found(False)
        return Found(True, _unrolled(path), reached=len(self._completed), configurations=self._configurations)

    # --- where the search stands -------------------------------------------------------------------------------------

    def _is_done(self) -> bool:
        return self._lowest() == len(self._completed)

    def _lowest(self) -> int:
        """The rank of the first completion that is left."""
        return (~self._taken & (self._taken + 1)).bit_length() - 1

    def _candidates(self) -> Iterator[int]:
        """Those left that no other left had to precede."""
        first_completion = self._completed[self._lowest()]
        number = self._next[_END]
        while number != _END and self._operations[number].invoked < first_completion:
            yield number
            number = self._next[number]

    def _successors(self, state: State) -> Iterator[tuple[int, State]]:
        """What may come next, in the order in which it is tried: who completes first goes first, the pending last."""
        if self._is_done():
            return
        candidates = list(self._candidates())
        fitting, unfit = [], []
        for number in candidates:
            operation = self._operations[number]
            if operation.is_pending:
                continue
            after = self._rules.step(operation, state)
            if after is None:
                unfit.append(operation)
            elif self._rules.only_reads(operation):
                yield number, after
                return
            else:
                fitting.append((number, after))
        yield from sorted(fitting, key=lambda successor: self._deadline[successor[0]])
        yield from self._pending_successors(state, candidates, unfit)

    def _pending_successors(
        self, state: State, candidates: Sequence[int], unfit: Sequence[Operation]
    ) -> Iterator[tuple[int, State]]:
        """Those of unknown outcome that have an effect here; first the ones after which something fits that did not."""
        helpless = []
        for number in candidates:
            operation = self._operations[number]
            if not operation.is_pending or not self._may_be_used(number):
                continue
            after = self._rules.step(operation, state)
            if after is None or after == state:
                continue
            if any(self._rules.step(other, after) is not None for other in unfit):
                yield number, after
            else:
                helpless.append((number, after))
        yield from helpless

    def _may_be_used(self, number: int) -> bool:
        """Whether its twin that was invoked before it is used already."""
        twin = self._twin[number]
        return twin == _END or bool(self._used & self._bit[twin])

    # --- going on and back -------------------------------------------------------------------------------------------

    def _take(self, number: int) -> None:
        self._flip(number)
        before, after = self._previous[number], self._next[number]
        self._next[before], self._previous[after] = after, before

    def _put_back(self, number: int) -> None:
        """The list remembers where it stood, as what was taken last is put back first."""
        self._flip(number)
        before, after = self._previous[number], self._next[number]
        self._next[before] = self._previous[after] = number

    def _flip(self, number: int) -> None:
        if self._operations[number].is_pending:
            self._used ^= self._bit[number]
        else:
            self._taken ^= self._bit[number]

    def _is_new(self, state: State) -> bool:
        """Whether nothing as good was entered before; it then counts as entered."""
        lowest = self._lowest()
        entered = self._seen.setdefault((lowest, self._taken >> lowest, state), [])
        if any(used & self._used == used for used in entered):
            return False
        entered.append(self._used)
        self._configurations += 1
        if self._configurations % TELL_EVERY == 0:
            self._limits.progress(self._configurations)
        return True

    # --- what is said of it ------------------------------------------------------------------------------------------

    def _enter(self, path: Path) -> None:
        """Note it if it is the furthest so far; what need not have happened does not count as progress."""
        reached = (self._lowest(), self._taken.bit_count())
        if reached > self._best:
            self._best, self._best_path = reached, path

    def _ran_out(self) -> str:
        if self._configurations >= self._limits.configurations_max:
            return f"{self._limits.configurations_max} configurations are remembered, which is the limit"
        if self._limits.clock() >= self._limits.deadline_s:
            return "the time is over"
        return ""

    def _found(self, holds: bool | None, ran_out: str = "") -> Found:
        order = _unrolled(self._best_path)
        return Found(holds, (), self._stuck(order), self._best[0], self._configurations, ran_out)

    def _stuck(self, order: tuple[tuple[Operation, State], ...]) -> Stuck:
        taken = {operation.invoked for operation, _ in order}
        first_completion = self._completed[self._best[0]]
        candidates = tuple(
            operation
            for operation in self._operations
            if operation.invoked < first_completion and operation.invoked not in taken
        )
        return Stuck(order, order[-1][1] if order else self._rules.start, candidates)


def _ranked(operations: Sequence[Operation]) -> tuple[list[int], list[float]]:
    """Of each operation its bit, and the line by which it must have happened."""
    deadline = [float("inf") if operation.completed is None else operation.completed for operation in operations]
    bits = [0] * len(operations)
    ranks = {True: itertools.count(), False: itertools.count()}
    for number in sorted(range(len(operations)), key=deadline.__getitem__):
        bits[number] = 1 << next(ranks[operations[number].is_pending])
    return bits, deadline


def _twins(rules: Rules, operations: Sequence[Operation]) -> list[int]:
    """Of each pending operation the last one before it that nobody can tell from it, or _END."""
    twins = [_END] * len(operations)
    latest: dict[object, int] = {}
    for number, operation in enumerate(operations):
        if operation.is_pending:
            effect = rules.same_effect(operation)
            twins[number] = latest.get(effect, _END)
            latest[effect] = number
    return twins


def _linked(count: int) -> tuple[list[int], list[int]]:
    """The list of all operations, forwards and backwards; index -1, the last place, is its head."""
    forwards = [*range(1, count), _END, 0] if count else [_END]
    return forwards, [_END, *range(count)]


def _unrolled(path: Path) -> tuple[tuple[Operation, State], ...]:
    order = []
    while path is not None:
        path, operation, state = path
        order.append((operation, state))
    return tuple(reversed(order))
