"""The judge, which proves nothing unless it has been seen to fail."""

from __future__ import annotations

import pytest

from chaos.judging.judge import Call, judge

SEMANTICS = ("maybe", "at-least-once", "at-most-once", "exactly-once")
ONCE = [semantics for semantics in SEMANTICS if semantics != "at-least-once"]
# semantics, told, effects: everything that a caller must never find.
BROKEN = [
    *[(semantics, "ok", 0) for semantics in SEMANTICS],
    *[(semantics, "ok", 2) for semantics in ONCE],
    *[(semantics, "definite", effects) for semantics in ONCE for effects in (1, 2)],
    ("maybe", "unknown", 2),
    ("at-most-once", "unknown", 2),
    *[("exactly-once", "unknown", effects) for effects in (0, 1, 2)],
    *[(semantics, "never", 2) for semantics in ONCE],
]


def _call(told: str, effects: int, *, misplaced: bool = False) -> Call:
    return Call("c0-0", told, effects, misplaced=misplaced)


@pytest.mark.parametrize(("semantics", "told", "effects"), BROKEN)
def test_every_broken_promise_is_seen(semantics: str, told: str, effects: int) -> None:
    """A single call that breaks the promise makes the verdict, however many keep it."""
    calls = [_call("ok", 1)] * 20 + [_call(told, effects)]
    assert judge(semantics, calls).violations


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize("told", ["ok", "definite", "unknown", "never"])
@pytest.mark.parametrize("effects", [0, 1, 2])
def test_what_is_not_broken_is_kept(semantics: str, told: str, effects: int) -> None:
    """The judge has no objection beyond the promise."""
    assert (not judge(semantics, [_call(told, effects)]).violations) == ((semantics, told, effects) not in BROKEN)


def test_a_doubled_call_is_red_under_every_semantics() -> None:
    """At-least-once keeps its promise with a doubled call, and is red all the same."""
    judgement = judge("at-least-once", [_call("ok", 2), _call("ok", 1)])
    assert judgement.red
    assert not judgement.violations
    assert judgement.effects == {"0": 0, "1": 1, "2+": 1}


def test_a_wrong_place_breaks_the_promise() -> None:
    """An offset at which the store does not have the value is a lie, though the value is there once."""
    assert judge("at-most-once", [_call("ok", 1, misplaced=True)]).violations


def test_many_violations_are_counted_and_some_are_shown() -> None:
    """A verdict stays readable."""
    violations = judge("at-most-once", [_call("ok", 0)] * 30).violations
    assert len(violations) == 6
    assert violations[-1] == "and 25 more"


def test_past_its_limit_exactly_once_may_say_unknown_and_double_nothing() -> None:
    """Where the session was not kept, "unknown" is the truth; two effects are as wrong as ever."""
    assert not judge("exactly-once", [_call("unknown", 1), _call("unknown", 0)], may_say_unknown=True).violations
    assert judge("exactly-once", [_call("unknown", 2)], may_say_unknown=True).violations


def test_a_refusal_that_nobody_can_have_earned_is_seen() -> None:
    """A call that is always valid and never conditional is not refused as another call's double."""
    assert judge("at-most-once", [Call("c0-0", "definite", 0, error="identity_reused")]).violations
    assert not judge("at-most-once", [Call("c0-0", "definite", 0, error="unreachable")]).violations


def test_an_acknowledged_call_that_is_gone_is_told_from_one_that_is_doubled() -> None:
    """What excuses the one does not excuse the other."""
    assert judge("at-most-once", [_call("ok", 0)]).lost
    assert not judge("at-most-once", [_call("ok", 2), _call("unknown", 0)]).lost


def test_the_first_wrong_call_is_named_by_its_place() -> None:
    """How many calls it took to find out is told."""
    assert judge("at-most-once", [_call("ok", 1), _call("ok", 1), _call("ok", 2), _call("ok", 0)]).first == 2
    assert judge("at-most-once", [_call("ok", 1)]).first is None
