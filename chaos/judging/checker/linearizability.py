"""Is a history linearizable? Each key is searched by itself, the easy ones first, within one bound on time.

A history is linearizable exactly when the part of each key is (Herlihy & Wing, "Linearizability: a correctness
condition for concurrent objects", 1990: locality), and its parts are far cheaper than the whole.

Guarantee: True and False are proven, by an order that fits or by the failure of all. What ran out of time or memory is
unknown, which is never a pass. A hard key costs the others nothing: it comes late, and gets at most half of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from chaos.judging.checker.history import History, Operation
from chaos.judging.checker.models.base import Model
from chaos.judging.checker.prefix import Beginning, shortest_wrong
from chaos.judging.checker.search import Limits, Search
from chaos.judging.checker.verdict import Counterexample, KeyVerdict, Obstacle, Step, Verdict

__all__ = ["CONFIGURATIONS_MAX", "TIMEOUT_S", "Progress", "check"]

TIMEOUT_S = 60.0
CONFIGURATIONS_MAX = 1_000_000  # a quarter to half a gigabyte, as measured
STEPS_SHOWN = 8

# Keys done, keys in all, configurations of the key that is searched.
Progress = Callable[[int, int, int], None]


def check(
    history: History,
    model: Model,
    clock: Callable[[], float],
    *,
    timeout_s: float = TIMEOUT_S,
    configurations_max: int = CONFIGURATIONS_MAX,
    progress: Progress = lambda done, total, configurations: None,
) -> Verdict:
    """The verdict. clock: seconds, from any origin. configurations_max: of one search; they are freed after it."""
    end_s = clock() + timeout_s
    parts = sorted(history.by_key().items(), key=lambda part: _hardness(part[1]))
    verdicts = []
    for done, (key, operations) in enumerate(parts):
        told = _teller(progress, done, len(parts))
        told(0)
        left_s = end_s - clock()
        share_s = left_s if done == len(parts) - 1 else left_s / 2
        limits = Limits(clock, end_s - left_s + share_s, configurations_max, told)
        verdicts.append(_check_key(key, operations, model, limits))
    return Verdict(model.name, tuple(sorted(verdicts, key=lambda verdict: verdict.key or "")))


def _hardness(operations: Sequence[Operation]) -> tuple[int, int]:
    return sum(operation.outcome == "info" for operation in operations), len(operations)


def _teller(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    return lambda configurations: progress(done, total, configurations)


def _check_key(key: str | None, operations: Sequence[Operation], model: Model, limits: Limits) -> KeyVerdict:
    rules = model.rules([operation for operation in operations if operation.outcome != "fail"])
    found = Search(rules, limits).run()
    verdict = KeyVerdict(
        key=key,
        holds=found.holds,
        operations=len(operations),
        pending=sum(operation.outcome == "info" for operation in operations),
        failed=sum(operation.outcome == "fail" for operation in operations),
        configurations=found.configurations,
        order=tuple(operation for operation, _ in found.order),
        ran_out=found.ran_out,
    )
    if found.holds is not False:
        return verdict
    whole = Beginning(_last_line(operations), rules, found, is_shortest=False)
    beginning = shortest_wrong(operations, model, whole, limits)
    return replace(verdict, counterexample=_counterexample(operations, beginning))


def _last_line(operations: Sequence[Operation]) -> int:
    return max(operation.completed for operation in operations if operation.completed is not None)


def _counterexample(operations: Sequence[Operation], beginning: Beginning) -> Counterexample:
    lines = [line for o in operations for line in (o.invoked, o.completed) if line is not None]
    stuck = beginning.found.stuck
    assert stuck is not None, "a search that failed got stuck somewhere"
    return Counterexample(
        line=beginning.line,
        last=next(operation for operation in operations if operation.completed == beginning.line),
        events=sum(line <= beginning.line for line in lines),
        events_total=len(lines),
        is_shortest=beginning.is_shortest,
        order=tuple(Step(o, beginning.rules.describe(state)) for o, state in stuck.order[-STEPS_SHOWN:]),
        order_length=len(stuck.order),
        state=beginning.rules.describe(stuck.state),
        obstacles=tuple(_obstacle(beginning, operation) for operation in stuck.candidates),
    )


def _obstacle(beginning: Beginning, operation: Operation) -> Obstacle:
    stuck = beginning.found.stuck
    assert stuck is not None, "a search that failed got stuck somewhere"
    after = beginning.rules.step(operation, stuck.state)
    if after is None:
        return Obstacle(operation, beginning.rules.violation(operation, stuck.state))
    if operation.is_pending and after == stuck.state:
        return Obstacle(operation, "would change nothing here")
    return Obstacle(operation, "fits here, but no order gets further with it")
