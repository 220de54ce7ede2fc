"""docs/protocol.md, rule 4: an identity stands for one method with one set of params; another payload is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.across_restarts import across_restarts
from tests.support.caller import request
from tests.support.replies import expect
from tests.support.seed import unique


@across_restarts
def test_another_payload_is_refused(kv, other):
    """Another method, value, key or param under a used identity: identity_reused, nothing runs, the record stays."""
    session, key, in_thread = kv.open(), unique(), unique()
    first = session.do(1, "kv.append", key=key, value="x")
    yield
    others: list[tuple[str, dict[str, Any]]] = [
        ("kv.put", {"key": key, "value": "x"}), ("kv.put", {"key": key, "value": "x", "if_version": 1}),
        ("kv.append", {"key": key, "value": "y"}), ("kv.append", {"key": key, "value": "X"}),
        ("kv.append", {"key": in_thread, "value": "x"}), ("kv.delete", {"key": key}),
        ("kv.increment", {"key": in_thread}),
        ("kv.txn", {"checks": [], "ops": [{"op": "append", "key": key, "value": "x"}]}),
    ]  # fmt: skip
    for method, params in others:
        expect(session.do(1, method, **params), 1002)
    assert (kv.get(key), kv.get(in_thread)) == (("x", 1), (None, 0))
    assert session.do(1, "kv.append", key=key, value="x").bare == first.bare


@across_restarts
def test_another_payload_after_a_recorded_error_is_refused(kv, other):
    """An identity that settled with an error is as used as one that settled with a result."""
    session, key = kv.open(), unique()
    expect(session.do(1, "kv.put", key=key, value="x", if_version=3), 22)
    yield
    expect(session.do(1, "kv.put", key=key, value="x"), 1002)
    assert kv.get(key) == (None, 0)


@across_restarts
def test_equal_params_are_the_same_payload(kv, other):
    """Equal as JSON values after defaults: member order, defaults written out, escapes make no other payload."""
    session, key, text = kv.open(), unique(), unique() + "é"
    session.do(1, "kv.increment", key=key)
    session.do(2, "kv.append", key=text, value="ü")
    session.do(3, "kv.increment", key=key, by=1)
    session.do(4, "kv.txn", checks=[{"key": key, "version": 2}], ops=[{"op": "increment", "key": key}])
    yield
    assert session.do(1, "kv.increment", by=1, key=key).replayed
    params = {"_meta": {"seq": 2, "session": session.name}, "value": "ü", "key": text}
    assert kv.post(json.dumps(request("kv.append", params, id=1), ensure_ascii=False).encode()).answer.replayed
    assert session.do(3, "kv.increment", key=key).replayed
    txn = {"ops": [{"by": 1, "key": key, "op": "increment"}], "checks": [{"version": 2, "key": key}]}
    assert session.do(4, "kv.txn", **txn).replayed
    assert (kv.get(key), kv.get(text)) == (("3", 3), ("ü", 1))


@across_restarts
def test_metadata_is_no_part_of_the_payload(kv, other):
    """`acked` and `timeout_ms` may change from attempt to attempt."""
    session, key = kv.open(), unique()
    session.call("kv.append", meta={"seq": 2, "timeout_ms": 10_000}, key=key, value="x")
    yield
    assert session.call("kv.append", meta={"seq": 2, "acked": 1, "timeout_ms": 20_000}, key=key, value="x").replayed


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"value": "1"}, {"value": "1 "}),
        ({"value": "é"}, {"value": "e\u0301"}),
        ({"value": ""}, {"value": "\0"}),
        ({"value": "x", "if_version": 0}, {"value": "x"}),
        ({"value": "x", "if_version": 0}, {"value": "x", "if_version": 1}),
    ],
    ids=repr,
)
def test_nearly_equal_is_not_equal(kv, first, second):
    """Values that only look alike, and a condition that is there or not, are other payloads."""
    session, key = kv.open(), unique()
    assert session.do(1, "kv.put", key=key, **first).ok
    expect(session.do(1, "kv.put", key=key, **second), 1002)


def test_the_order_of_ops_matters(kv):
    """Members have no order, but arrays have: the same ops in another order are another payload."""
    session, key, second = kv.open(), unique(), unique()
    ops = [{"op": "increment", "key": key}, {"op": "increment", "key": second}]
    assert session.do(1, "kv.txn", checks=[], ops=ops).ok
    expect(session.do(1, "kv.txn", checks=[], ops=ops[::-1]), 1002)
    assert (kv.get(key)[0], kv.get(second)[0]) == ("1", "1")


def test_two_payloads_in_one_batch(kv):
    """Of two payloads under one identity in one batch, one runs and the other is refused."""
    session, key = kv.open(), unique()
    meta = {"session": session.name, "seq": 1}
    answers = kv.send(
        [request("kv.append", {"key": key, "value": value, "_meta": meta}, id=value) for value in "ab"]
    ).answers
    won, lost = sorted(answers, key=lambda answer: answer.code or 0)
    assert won.ok == {"version": 1, "offset": 0}
    expect(lost, 1002)
    assert kv.get(key) == (won.id, 1)
