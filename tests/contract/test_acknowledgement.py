"""Section 4: `acked` and the watermark. What is acknowledged is refused ever after, and never runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.across_restarts import across_restarts
from tests.support.replies import expect
from tests.support.seed import unique


@across_restarts
def test_an_acknowledged_call_is_stale(kv, other):
    """After `acked` has passed a call, a late attempt of it is stale_call and does not run; later ones replay."""
    session, key = kv.open(), unique()
    for seq in (1, 2, 3):
        session.do(seq, "kv.append", key=key, value=str(seq))
    session.call("kv.append", meta={"seq": 4, "acked": 2}, key=key, value="4")
    yield
    for seq in (1, 2):
        expect(session.do(seq, "kv.append", key=key, value=str(seq)), 1003)
    for seq in (3, 4):
        assert session.do(seq, "kv.append", key=key, value=str(seq)).replayed
    assert kv.get(key) == ("1234", 4)


@across_restarts
def test_what_never_came_is_stale_too(kv, other):
    """A seq at or below the watermark is refused even if it never ran, and with any payload: it never will run."""
    session, key = kv.open(), unique()
    session.call("kv.append", meta={"seq": 4, "acked": 3}, key=key, value="4")
    yield
    for seq in (1, 2, 3):
        expect(session.do(seq, "kv.append", key=key, value=f"late {seq}"), 1003)
    assert kv.get(key) == ("4", 1)


@across_restarts
def test_the_highest_acknowledgement_counts(kv, other):
    """A lower `acked` that comes later takes nothing back."""
    session, key = kv.open(), unique()
    session.call("kv.append", meta={"seq": 10, "acked": 8}, key=key, value="10")
    session.call("kv.append", meta={"seq": 9, "acked": 2}, key=key, value="9")
    session.ack(1)
    yield
    assert session.call("kv.append", meta={"seq": 10, "acked": 0}, key=key, value="10").replayed
    expect(session.do(8, "kv.append", key=key, value="8"), 1003)
    assert kv.get(key) == ("109", 2)


@across_restarts
def test_a_replay_acknowledges(kv, other):
    """An attempt that is answered from the record brings its `acked` all the same."""
    session, key = kv.open(), unique()
    for seq in (1, 2):
        session.do(seq, "kv.append", key=key, value=str(seq))
    assert session.call("kv.append", meta={"seq": 2, "acked": 1}, key=key, value="2").replayed
    yield
    expect(session.do(1, "kv.append", key=key, value="1"), 1003)
    assert kv.get(key) == ("12", 2)


@across_restarts
def test_renew_and_reads_acknowledge(kv, other):
    """session.renew and every kind of read acknowledge as a write does, and it lasts."""
    gets = {"checks": [], "ops": [{"op": "get", "key": "k"}]}
    channels: list[tuple[str, dict[str, Any]]] = [
        ("session.renew", {}),
        ("kv.get", {"key": "k"}),
        ("kv.list", {"limit": 1}),
        ("kv.txn", gets),
    ]
    sessions, key = [kv.open() for _ in channels], unique()
    for session, (method, params) in zip(sessions, channels, strict=True):
        session.do(1, "kv.append", key=key, value="x")
        session.do(2, "kv.append", key=key, value="y")
        assert session.call(method, meta={"acked": 1}, **params).ok
    yield
    for session in sessions:
        expect(session.do(1, "kv.append", key=key, value="x"), 1003)
        assert session.do(2, "kv.append", key=key, value="y").replayed
    assert kv.get(key) == ("xy" * 4, 8)


def test_an_acknowledging_call_does_not_refuse_itself(kv):
    """A call with acked = seq - 1, the usual case of a sequential client, runs."""
    session, key = kv.open(), unique()
    for seq in range(1, 6):
        assert not session.call("kv.append", meta={"seq": seq, "acked": seq - 1}, key=key, value="x").replayed
    assert session.do(5, "kv.append", key=key, value="x").replayed
    assert kv.get(key) == ("xxxxx", 5)


@pytest.mark.parametrize("value", ["x", "y"])
def test_stale_comes_before_any_look_at_the_payload(kv, value):
    """Below the watermark there is nothing to compare with: stale_call for the old payload and for another."""
    session, key = kv.open(), unique()
    session.do(1, "kv.append", key=key, value="x")
    session.ack(1)
    expect(session.do(1, "kv.append", key=key, value=value), 1003)
    assert kv.get(key) == ("x", 1)
