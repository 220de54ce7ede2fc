"""The checker, broken on purpose in one place at a time: histories with known verdicts must notice each.

The verdicts are those of trying every order, and of a few histories written by hand for what chance rarely draws.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chaos.judging.checker import prefix, search
from chaos.judging.checker.history import Operation
from chaos.judging.checker.models import kv, lookahead, register
from chaos.judging.checker.shared_text import Text, Texts
from tests.support.brute_force import is_linearizable
from tests.support.checking import event, sequence, verdict_of
from tests.support.simulated_store import Event, mutate, simulate

SEED = 20170822
HISTORIES = 150
Patch = Callable[[pytest.MonkeyPatch], None]


# Each of the three that may be lost is needed, in an order that is not the first one tried: who uses up the delete
# before the read of "b7" has none left for the last read.
SPARE = [
    *(
        event(process, "invoke", f, "k", value)
        for process, f, value in [(0, "append", "7"), (1, "put", "b"), (2, "delete", None)]
    ),
    *sequence(("get", "k", None, "b7"), ("get", "k", None, None), process=3),
]


@functools.cache
def _corpus() -> list[tuple[str, list[Event], bool]]:
    rng = random.Random(SEED)
    corpus = [("kv", SPARE, is_linearizable(SPARE))]
    for number in range(HISTORIES):
        model = "register" if number % 3 == 0 else "kv"
        keys = rng.choice([1, 1, 2])
        events = simulate(rng, model, calls=7, clients=3, keys=keys, unknown=0.25, facts=number % 2 == 0)
        for _ in range(number % 4):
            events = mutate(rng, events)
        corpus.append((model, events, is_linearizable(events)))
    return corpus


def _disagreements() -> int:
    return sum(_answer(model, events) is not right for model, events, right in _corpus())


def _answer(model: str, events: list[Event]) -> object:
    """The verdict; a checker that trips over its own assertions has noticed as well."""
    try:
        return verdict_of(events, model, timeout_s=5).holds
    except (AssertionError, IndexError, StopIteration) as error:
        return type(error)


def _set(owner: Any, name: str, value: Any) -> Patch:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def _seen_without_state(self: search.Search, state: Any) -> bool:
    lowest = self._lowest()
    known = self._seen.setdefault((lowest, self._taken >> lowest, None), [])
    known.append(self._used)
    return len(known) == 1


def _seen_without_pending(self: search.Search, state: Any) -> bool:
    lowest = self._lowest()
    known = self._seen.setdefault((lowest, self._taken >> lowest, state), [])
    known.append(self._used)
    return len(known) == 1


def _regardless_of_time(self: search.Search) -> list[int]:
    left, number = [], self._next[-1]
    while number != -1:
        left.append(number)
        number = self._next[number]
    return left


def _only_invoked_next(self: search.Search) -> list[int]:
    return [self._next[-1]]


def _forgets_the_unknown(self: kv.KvRules, operation: Operation) -> bool:
    return operation.is_pending


def _kept_version(self: kv.KvRules, operation: Operation, state: kv.State) -> kv.State:
    return kv.State(state.version, None)


def _blind_get(self: kv.KvRules, operation: Operation, state: kv.State) -> kv.State:
    return state


def _uncounted(self: kv.KvRules, operation: Operation, state: kv.State, value: Text) -> kv.State:
    return kv.State(state.version + 1 if self._counted else 0, value)


def _blind_cas(self: register.RegisterRules, operation: Operation, state: register.State) -> Any:
    if operation.f == "read":
        return self._read(operation, state)
    return register.State(state.version, register._written(operation))


def _always_once(self: lookahead.Lookahead, *, once: bool) -> None:
    self._once = True
    self._values, self._lengths, self._makers = {}, {}, {}


def _fails_count(operations: Sequence[Operation], line: int) -> list[Operation]:
    return [operation for operation in operations if operation.invoked <= line]


MUTANTS: dict[str, Patch] = {
    "memory forgets the state": _set(search.Search, "_is_new", _seen_without_state),
    "memory forgets which pending ones were used": _set(search.Search, "_is_new", _seen_without_pending),
    "real time is ignored": _set(search.Search, "_candidates", _regardless_of_time),
    "no operation overtakes another": _set(search.Search, "_candidates", _only_invoked_next),
    "what is taken is not put back": _set(search.Search, "_put_back", lambda self, number: None),
    "every write counts as a read": _set(kv.KvRules, "only_reads", lambda self, operation: True),
    "all pending operations have the same effect": _set(kv.KvRules, "same_effect", lambda self, operation: "same"),
    "operations of unknown outcome are dropped": _set(kv.KvRules, "_is_irrelevant", _forgets_the_unknown),
    "a register's are dropped": _set(register, "_is_observed", lambda operation, observers: False),
    "get is not compared": _set(kv.KvRules, "_get", _blind_get),
    "version is not compared": _set(kv.KvRules, "_changed", _uncounted),
    "delete keeps the version": _set(kv.KvRules, "_delete", _kept_version),
    "cas is not compared": _set(register.RegisterRules, "_outcome", _blind_cas),
    "versions are unique in spite of deletes": _set(lookahead.Lookahead, "__init__", _always_once),
    "any text is any other": _set(Texts, "append", lambda self, before, piece: before),
}


def test_unbroken_it_agrees_with_every_verdict() -> None:
    """The corpus has verdicts of both kinds, and the checker has them all."""
    rights = [right for _, _, right in _corpus()]
    assert min(rights.count(True), rights.count(False)) > HISTORIES // 8
    assert _disagreements() == 0


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_checker_is_noticed(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this one place broken, some history gets a wrong verdict."""
    MUTANTS[mutant](monkeypatch)
    assert _disagreements() > 0


def test_a_prefix_that_keeps_failed_operations_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that failed has no effect; were it kept as one that ran, the blamed line would change."""
    before = _blamed()
    monkeypatch.setattr(prefix, "as_of", _fails_count)
    assert _blamed() != before


def _blamed() -> list[object]:
    return [
        [key.counterexample.line for key in verdict_of(events, model).keys if key.counterexample]
        for model, events, right in _corpus()
        if not right
    ]
