"""The shortest beginning of a history that is already wrong: the event after which it could no longer be right.

A beginning of a linearizable history is linearizable, so the beginnings are right up to some event and wrong from it
on, and that event can be closed in on. As of an event, operations that complete later are pending: nobody knows yet
what they will be told, nor that they will fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaos.judging.checker.history import Operation
from chaos.judging.checker.models.base import Model, Rules
from chaos.judging.checker.search import Found, Limits, Search

__all__ = ["Beginning", "as_of", "shortest_wrong"]


@dataclass(frozen=True)
class Beginning:
    """A wrong beginning that ends at `line`, with the rules and the search that showed it."""

    line: int
    rules: Rules
    found: Found
    is_shortest: bool


def as_of(operations: Sequence[Operation], line: int) -> list[Operation]:
    """The operations as they stood after that line, without those that had failed by then."""
    known = (operation.as_of(line) for operation in operations if operation.invoked <= line)
    return [operation for operation in known if operation.outcome != "fail"]


def shortest_wrong(operations: Sequence[Operation], model: Model, whole: Beginning, limits: Limits) -> Beginning:
    """The shortest wrong beginning of one key's history, the whole of which is wrong.

    All completions that the search of the whole got past are behind a right beginning: its order is one of that
    beginning too. The wanted event is mostly the next one, so the strides from there are short first, and doubled.
    """
    told = sorted(o.completed for o in operations if o.completed is not None and o.outcome == "ok")
    first = told[whole.found.reached]
    ends = sorted(o.completed for o in operations if o.completed is not None and o.completed >= first)
    right, wrong, stride, best = -1, len(ends) - 1, 1, whole
    while wrong - right > 1:
        probe = right + stride if right + stride < wrong else (right + wrong) // 2
        beginning = _beginning(operations, model, ends[probe], limits)
        if beginning.found.holds is None:
            return best
        if beginning.found.holds:
            right, stride = probe, stride * 2
        else:
            wrong, stride, best = probe, 1, beginning
    return replace(best, is_shortest=True)


def _beginning(operations: Sequence[Operation], model: Model, line: int, limits: Limits) -> Beginning:
    rules = model.rules(as_of(operations, line))
    return Beginning(line, rules, Search(rules, limits).run(), is_shortest=False)
