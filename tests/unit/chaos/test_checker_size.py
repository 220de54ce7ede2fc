"""Histories of the size that a long run makes, and the bounds for those that are too hard."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from chaos.judging.checker import check, models, parse
from tests.support.checking import event, sequence, verdict_of
from tests.support.simulated_store import Event, simulate

OPERATIONS = 10_000


def _long(**more: Any) -> list[Event]:
    return simulate(random.Random(1987), "kv", clients=15, calls=OPERATIONS, keys=50, unknown=0.03, **more)


@pytest.mark.parametrize("facts", [True, False])
def test_ten_thousand_operations_are_checked(facts: bool) -> None:
    """10,000 operations of 15 clients on 50 keys, some of unknown outcome: a verdict well within the bound of time."""
    assert verdict_of(_long(facts=facts)).holds is True


@pytest.mark.parametrize("facts", [True, False])
def test_one_lie_among_ten_thousand_operations_is_found(facts: bool) -> None:
    """The verdict is no, and the key and the line of the lie are named."""
    events = _long(facts=facts)
    reads = [
        number for number, told in enumerate(events) if told["type"] == "ok" and told["f"] == "get" and told["value"]
    ]
    line = reads[len(reads) // 2]
    events[line] = {**events[line], "value": "nobody wrote this"}
    verdict = verdict_of(events)
    [bad] = [key for key in verdict.keys if not key.holds]
    assert verdict.holds is False
    assert bad.key == events[line]["key"]
    assert bad.counterexample
    assert (bad.counterexample.line, bad.counterexample.is_shortest) == (line + 1, True)


def test_a_long_log_is_not_copied_for_every_append() -> None:
    """One key with 10,000 appends and reads between them is checked as well."""
    functions = ("append",) * 20 + ("get",)
    events = simulate(random.Random(7), "kv", clients=10, calls=OPERATIONS, keys=1, unknown=0.01, functions=functions)
    assert verdict_of(events).holds is True


def _hard(unknown: int) -> list[Event]:
    """Unknown appends that nobody can tell from those that ran, and a last read that no subset of them explains."""
    lost = [event(number, "invoke", "append", "k", "ab"[number % 2] * (number + 1)) for number in range(unknown)]
    return [*lost, *sequence(("put", "k", "", ""), ("get", "k", None, "c" * 40), process=unknown)]


@pytest.mark.parametrize("bound", [{"configurations_max": 500}, {"timeout_s": 0.2}])
def test_what_runs_out_is_unknown(bound: dict[str, Any]) -> None:
    """Out of time or memory, the verdict is neither yes nor no, and says of what."""
    verdict = verdict_of(_hard(20), **bound)
    assert verdict.holds is None
    assert verdict.word == "unknown"
    assert verdict.keys[0].ran_out


def test_a_hard_key_hides_no_bad_one() -> None:
    """Another key's lie is found, although a hard key would use up all the time."""
    lie = sequence(("get", "z", None, "lie"), process=99)
    verdict = verdict_of([*_hard(20), *lie], configurations_max=500)
    assert {key.key: key.holds for key in verdict.keys} == {"k": None, "z": False}
    assert verdict.holds is False


def test_the_hard_key_does_not_take_the_time_of_the_others() -> None:
    """By a clock that runs with every look at it, each of two hard keys gets a share, and the easy one its verdict."""
    other = [{**each, "key": "k2", "process": each["process"] + 50} for each in _hard(20)]
    events = [*_hard(20), *other, *sequence(("get", "z", None, None), process=200)]
    ticks: Iterator[int] = iter(range(10**9))
    model = models()["kv"]
    verdict = check(parse(events, model), model, lambda: next(ticks) / 1000, timeout_s=2)
    assert {key.key: key.holds for key in verdict.keys} == {"k": None, "k2": None, "z": True}
    assert all(key.configurations > 100 for key in verdict.keys if key.key != "z")


def test_many_of_unknown_outcome_that_are_alike_cost_little() -> None:
    """Sixty lost increments are tried by their number, not by their subsets."""
    lost = [event(number, "invoke", "increment", "k", 1) for number in range(60)]
    told = sequence(("get", "k", None, "30"), ("get", "k", None, "20"), process=99)
    verdict = verdict_of([*lost, *told], configurations_max=1000)
    assert verdict.holds is False


@pytest.mark.parametrize("version", [{"version": 30}, {}])
def test_lost_puts_that_nobody_reads_cost_little(version: dict[str, int]) -> None:
    """Forty lost puts of values that no read returns are tried by their number."""
    lost = [event(number, "invoke", "put", "k", f"v{number}") for number in range(40)]
    told = sequence(("put", "k", "x", "x", version), ("get", "k", None, "y"), process=99)
    assert verdict_of([*lost, *told], configurations_max=1000).holds is False


def test_lost_appends_are_told_apart_by_a_later_read() -> None:
    """Of forty lost appends, those that a read shows ran, in its order, and the versions around them fit."""
    lost = [event(number, "invoke", "append", "k", f"t{number};") for number in range(40)]
    shown = "".join(f"t{number};" for number in range(39, 0, -2))
    told = sequence(("get", "k", None, shown, {"version": 20}), ("get", "k", None, shown, {"version": 20}), process=99)
    assert verdict_of([*lost, *told], configurations_max=1000).holds is True
    told[-1] = {**told[-1], "version": 21}
    assert verdict_of([*lost, *told], configurations_max=1000).holds is False
