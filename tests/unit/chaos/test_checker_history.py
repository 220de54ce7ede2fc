"""What counts as a history, and what is said of a file that is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.judging.checker import HistoryError, models, parse
from tests.support.checking import event, sequence, verdict_of

PUT = event(0, "invoke", "put", "k", "a")
MALFORMED: dict[str, tuple[list[Any], int, str]] = {
    "a completion without an invoke": ([event(3, "ok", "get", "k", "a")], 1, "process 3 completes"),
    "an info without an invoke": ([event(3, "info", "get", "k", "a")], 1, "process 3 completes"),
    "two invokes": ([PUT, event(0, "invoke", "get", "k")], 2, "process 0 invokes again, but its operation of line 1"),
    "two completions": ([PUT, event(0, "ok", "put", "k", "a"), event(0, "ok", "put", "k", "a")], 3, "not invoked"),
    "another function completes": ([PUT, event(0, "ok", "get", "k", "a")], 2, "line 1 invoked"),
    "another key completes": ([PUT, event(0, "ok", "put", "j", "a")], 2, "line 1 invoked"),
    "an unknown function": ([event(0, "invoke", "swap", "k", "a")], 1, 'f is "swap"'),
    "a function of the other model": ([event(0, "invoke", "write", None, 1)], 1, 'f is "write"'),
    "an unknown type": ([event(0, "call", "get", "k")], 1, "invoke, ok, fail or info"),
    "no key": ([event(0, "invoke", "get")], 1, "has no key"),
    "a key that is no string": ([{**PUT, "key": 7}], 1, "key is 7"),
    "no type": ([{"process": 0, "f": "get", "key": "k"}], 1, "no member 'type'"),
    "no f": ([{"process": 0, "type": "invoke", "key": "k"}], 1, "no member 'f'"),
    "no process": ([{"type": "invoke", "f": "get", "key": "k"}], 1, "no member 'process'"),
    "a process that is no number": ([{**PUT, "process": [1]}], 1, "process is [1]"),
    "a put of a number": ([{**PUT, "value": 7}], 1, "the string that is written"),
    "an append of nothing": ([event(0, "invoke", "append", "k")], 1, "the string that is written"),
    "a step that is text": ([event(0, "invoke", "increment", "k", "1")], 1, "the step, an integer"),
    "a step that is true": ([event(0, "invoke", "increment", "k", True)], 1, "the step, an integer"),
    "a get of a number": (sequence(("get", "k", None, 7)), 2, "the string that was read"),
    "an increment to text": (sequence(("increment", "k", 1, "1")), 2, "the new integer"),
    "a delete that says 1": (sequence(("delete", "k", None, 1)), 2, "true or false"),
    "a version that is text": (sequence(("put", "k", "a", "a", {"version": "1"})), 2, "version is"),
    "a negative offset": (sequence(("append", "k", "a", "a", {"offset": -1})), 2, "offset is -1"),
    "an offset of a get": (sequence(("get", "k", None, None, {"offset": 0})), 2, "only an append"),
    "no JSON": ([json.dumps(PUT), '{"process": 0, "type": "o'], 2, "remove that line"),
    "no UTF-8": ([b'{"process": "\xff"}'], 1, "not JSON"),
    "a list": ([[1, 2]], 1, "must be a JSON object"),
    "very deep JSON": (["[" * 100_000], 1, "not JSON"),
    "a bare number": (["7"], 1, "must be a JSON object"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_history_is_refused_with_its_line(name: str) -> None:
    """Nothing malformed is skipped or guessed at; the message names the line and the trouble."""
    events, line, words = MALFORMED[name]
    with pytest.raises(HistoryError) as caught:
        parse(events, models()["kv"])
    assert caught.value.line == line
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [None, 1, [1], [1, 2, 3], "ab", {"old": 1, "new": 2}])
def test_a_cas_has_old_and_new(value: Any) -> None:
    """A cas of anything but two values is refused."""
    with pytest.raises(HistoryError, match=r"\[old, new\]"):
        parse([event(0, "invoke", "cas", None, value)], models()["register"])


def test_faults_and_empty_lines_are_passed_over() -> None:
    """The lines of the nemesis are no operations, whatever they hold."""
    lines: list[Any] = [
        {"process": "nemesis", "type": "info", "f": "cut", "value": {"link": 1}},
        "",
        *sequence(("get", "k", None, None)),
    ]
    history = parse(lines, models()["kv"])
    assert len(history.operations) == 1
    assert history.operations[0].invoked == 3


def test_an_operation_remembers_what_people_ask_about() -> None:
    """Call, attempts and error stay with the operation, for the messages."""
    lines = [
        event(0, "invoke", "put", "k", "a", call="c0-1"),
        event(0, "info", "put", "k", "a", attempts=3, error="late"),
    ]
    [operation] = parse(lines, models()["kv"]).operations
    assert (operation.call, operation.attempts, operation.error) == ("c0-1", 3, "late")
    assert operation.is_pending


def test_the_order_of_the_lines_is_real_time() -> None:
    """Times and indices that say otherwise change nothing."""
    events = sequence(("put", "k", "a", "a"), ("get", "k", None, "a"))
    for place, each in enumerate(events):
        each |= {"index": 100 - place, "time": -place}
    assert verdict_of(events).holds is True


def test_a_process_may_go_on_after_info_under_its_old_number() -> None:
    """Only intervals count, so its lost put may still come between its two later reads."""
    reads = [("get", "k", None, None), ("get", "k", None, "a")]
    assert verdict_of(sequence(("put", "k", "a", "info"), *reads)).holds is True


def test_nothing_is_linearizable() -> None:
    """A history without operations holds, as logic has it, and the verdict says that there was nothing to judge."""
    assert verdict_of([]).holds is True
