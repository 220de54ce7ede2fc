"""What the operations mean, one call after the other: each row is right, and each with a `!` is a lie."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.judging.checker.models import models
from chaos.judging.checker.shared_text import Texts
from tests.support.checking import event, sequence, verdict_of

BIG = 2**63 - 1


def v(version: int, **more: int) -> dict[str, int]:
    """What a reply tells beside its value."""
    return {"version": version, **more}


KV: dict[str, list[tuple[Any, ...]]] = {
    "a key starts absent": [("get", "k", None, None, v(0))],
    "! a key starts empty": [("get", "k", None, "")],
    "! an absent key has version 1": [("get", "k", None, None, v(1))],
    "put": [("put", "k", "a", "a", v(1)), ("put", "k", "a", "a", v(2)), ("get", "k", None, "a", v(2))],
    "! a put that leaves the value is no change": [("put", "k", "a", "a", v(1)), ("put", "k", "a", "a", v(1))],
    "! a lost put": [("put", "k", "a", "a"), ("get", "k", None, None)],
    "! a version of a get": [("put", "k", "a", "a"), ("get", "k", None, "a", v(2))],
    "append": [
        ("append", "k", "ä", "ä", v(1, offset=0)),
        ("append", "k", "b", "b", v(2, offset=1)),
        ("get", "k", None, "äb"),
    ],
    "! an offset in bytes": [("append", "k", "ä", "ä", v(1, offset=0)), ("append", "k", "b", "b", v(2, offset=2))],
    "! appended twice": [("append", "k", "a", "a"), ("get", "k", None, "aa")],
    "append of nothing": [("append", "k", "", ""), ("get", "k", None, "", v(1))],
    "increment": [("increment", "k", 2, 2, v(1)), ("increment", "k", -3, -1, v(2)), ("get", "k", None, "-1")],
    "increment of text": [("put", "k", "007", "007"), ("increment", "k", 1, 8), ("get", "k", None, "8")],
    "! increment of no number": [("put", "k", "x", "x"), ("increment", "k", 1, 1)],
    "! increment over 64 bits": [("put", "k", str(BIG), "x"), ("increment", "k", 1, BIG + 1)],
    "increment to the greatest": [("put", "k", str(BIG - 1), "x"), ("increment", "k", 1, BIG)],
    "! increment of a very long number": [("put", "k", "9" * 5000, "x"), ("increment", "k", 1, 1)],
    "! increment of +1": [("put", "k", "+1", "x"), ("increment", "k", 1, 2)],
    "! increment of other digits": [("put", "k", "٣", "x"), ("increment", "k", 1, 4)],
    "! incremented twice": [("increment", "k", 1, 2)],
    "delete": [("put", "k", "a", "a", v(1)), ("delete", "k", None, True), ("get", "k", None, None, v(0))],
    "delete of nothing": [("delete", "k", None, False), ("put", "k", "a", "a", v(1))],
    "! delete of nothing that was there": [("delete", "k", None, True)],
    "! delete of something that was not": [("put", "k", "a", "a"), ("delete", "k", None, False)],
    "versions start again": [("put", "k", "a", "a", v(1)), ("delete", "k", None, True), ("put", "k", "a", "a", v(1))],
    "! versions go on": [("put", "k", "a", "a", v(1)), ("delete", "k", None, True), ("put", "k", "a", "a", v(2))],
    "a deleted key has version 0": [("put", "k", "a", "a"), ("delete", "k", None, True, v(0))],
    "! a deleted key has version 2": [("put", "k", "a", "a"), ("delete", "k", None, True, v(2))],
    "keys are apart": [("put", "k", "a", "a", v(1)), ("get", "j", None, None), ("put", "j", "b", "b", v(1))],
    "! keys are one": [("put", "k", "a", "a"), ("get", "j", None, "a")],
    "a failure changes nothing": [("put", "k", "a", "fail"), ("get", "k", None, None, v(0))],
    "! a failure ran": [("put", "k", "a", "fail"), ("get", "k", None, "a")],
    "a failure says nothing else": [("increment", "k", 1, "fail"), ("get", "k", None, None)],
    "an unknown one ran": [("put", "k", "a", "info"), ("get", "k", None, "a")],
    "an unknown one did not": [("put", "k", "a", "info"), ("get", "k", None, None)],
    "an unknown one ran late": [("put", "k", "a", "info"), ("put", "k", "b", "b"), ("get", "k", None, "a", v(2))],
    "! an unknown one ran twice": [("append", "k", "a", "info"), ("get", "k", None, "aa")],
    "! an unknown one was undone": [("put", "k", "a", "info"), ("get", "k", None, "a"), ("get", "k", None, None)],
    "! an unknown one before its invoke": [("get", "k", None, "a"), ("put", "k", "a", "info")],
    "unseen, it still counts": [("put", "k", "a", "info"), ("put", "k", "b", "b", v(2))],
    "! two changes by one": [("put", "k", "a", "info"), ("put", "k", "b", "b", v(3))],
}
REGISTER: dict[str, list[tuple[Any, ...]]] = {
    "starts null": [("read", None, None, None)],
    "! starts 0": [("read", None, None, 0)],
    "write": [("write", None, 1, 1), ("read", None, None, 1)],
    "! 1 is not true": [("write", None, 1, 1), ("read", None, None, True)],
    "any JSON value": [("write", None, {"a": [1]}, 1), ("read", None, None, {"a": [1]})],
    "cas": [("cas", None, [None, 1], [None, 1]), ("read", None, None, 1)],
    "! cas of another value": [("write", None, 1, 1), ("cas", None, [2, 3], [2, 3])],
    "! cas without effect": [("cas", None, [None, 1], [None, 1]), ("read", None, None, None)],
    "a cas that failed did not swap": [("cas", None, [None, 1], "fail"), ("read", None, None, None)],
    "! a cas that failed swapped": [("cas", None, [None, 1], "fail"), ("read", None, None, 1)],
    "a cas may fail for another reason": [
        ("write", None, 1, 1),
        ("cas", None, [1, 2], "fail"),
        ("read", None, None, 1),
    ],
    "an unknown cas swapped": [("cas", None, [None, 1], "info"), ("read", None, None, 1)],
    "an unknown cas after an unknown write": [
        ("write", None, 1, "info"),
        ("cas", None, [1, 2], "info"),
        ("read", None, None, None),
        ("read", None, None, 2),
    ],
    "versions": [("write", None, 1, 1, v(1)), ("cas", None, [1, 2], 1, v(2)), ("read", None, None, 2, v(2))],
    "! a version too many": [("write", None, 1, 1, v(1)), ("read", None, None, 1, v(2))],
    "keys are allowed": [("write", "a", 1, 1), ("read", "b", None, None)],
}
ROWS = [(model, name) for model, rows in (("kv", KV), ("register", REGISTER)) for name in rows]


@pytest.mark.parametrize(("model", "name"), ROWS)
def test_the_meaning_of_operations(model: str, name: str) -> None:
    """The verdict on a sequential history is what the protocol says of its operations."""
    calls = (KV if model == "kv" else REGISTER)[name]
    assert verdict_of(sequence(*calls), model).holds is not name.startswith("!")


def test_operations_that_overlap_may_have_either_order() -> None:
    """A read during a write sees the value before or after it; a read after one that saw the new value sees it too."""
    write = [event(0, "invoke", "put", "k", "a"), event(0, "ok", "put", "k", "a")]
    for seen in (None, "a"):
        assert verdict_of([write[0], *sequence(("get", "k", None, seen), process=1), write[1]]).holds is True
    back = sequence(("get", "k", None, "a"), ("get", "k", None, None), process=1)
    assert verdict_of([write[0], *back, write[1]]).holds is False


def test_a_model_is_one_file() -> None:
    """Models are found, not listed."""
    assert set(models()) == {"kv", "register"}


def test_texts_are_one_object_exactly_when_they_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """However a value came about, and even if all fingerprints were the same."""
    for fingerprint in (None, lambda string: 0):
        if fingerprint:
            monkeypatch.setattr("chaos.judging.checker.shared_text._fingerprint", fingerprint)
        texts = Texts()
        whole = texts.of("abc")
        assert texts.append(texts.append(texts.of("a"), "b"), "c") is whole
        assert texts.append(texts.of(""), "abc") is whole
        assert texts.append(texts.of("a"), "cb") is not whole
        assert str(texts.append(whole, "\ud800é")) == "abc\ud800é"
