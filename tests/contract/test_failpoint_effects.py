"""Sections 4 and 9: a call that broke off at any point has run wholly or not at all, and its retry makes it once."""

from __future__ import annotations

import signal

import pytest

from tests.support.caller import LOST
from tests.support.replies import expect
from tests.support.seed import unique

POINTS = {"before_execute": False, "after_execute": False, "after_commit": True}
"""Failpoint -> whether the effect is committed there."""


def calls(kv, key):
    """The ways to make one and the same call twice: in a session, and under an Idempotency-Key."""
    session, idempotency_key = kv.open(), unique()
    return {
        "session": lambda: session.do(1, "kv.append", key=key, value="x"),
        "key": lambda: kv.keyed(idempotency_key, "kv.append", key=key, value="x"),
    }


def retried(kv, key, send, committed):
    """The retry brings the first and only effect's reply: a replay where it was committed, else the call itself."""
    answer = send()
    assert answer.bare == {"result": {"version": 1, "offset": 0}}
    assert answer.replayed is committed
    assert send().replayed
    assert kv.get(key) == ("x", 1)


@pytest.mark.parametrize("kind", ["session", "key"])
@pytest.mark.parametrize(("point", "committed"), POINTS.items())
def test_drop(armed, point, committed, kind):
    """drop closes the connection without a byte; before the commit it rolls back, after it the effect stays."""
    key = unique()
    send = calls(armed.kv, key)[kind]
    armed.arm(point, "drop", match={"key": key})
    with pytest.raises(LOST):
        send()
    assert armed.kv.get(key) == (("x", 1) if committed else (None, 0))
    retried(armed.kv, key, send, committed)


@pytest.mark.parametrize("kind", ["session", "key"])
@pytest.mark.parametrize("point", POINTS)
def test_error(armed, point, kind):
    """After internal_error nobody can tell; the retry settles it with exactly one effect."""
    key = unique()
    send = calls(armed.kv, key)[kind]
    armed.arm(point, "error", match={"key": key})
    expect(send(), -32603)
    assert send().bare == {"result": {"version": 1, "offset": 0}}
    assert armed.kv.get(key) == ("x", 1)


@pytest.fixture(scope="module")
def mortal(fresh_for_module):
    """A server with failpoints that may die and is started again."""
    return fresh_for_module(failpoints=True)


@pytest.mark.parametrize(("point", "committed"), POINTS.items())
def test_crash(mortal, point, committed):
    """crash is a SIGKILL: after a restart the committed is there and the rest is gone, and each retry runs once."""
    kv, keys = mortal.kv, {kind: unique() for kind in ("session", "key")}
    survivor = unique()
    kv.ok("kv.put", key=survivor, value="x")
    sends = {kind: calls(kv, key)[kind] for kind, key in keys.items()}
    for kind, key in keys.items():
        boot = mortal.server.boot
        mortal.arm(point, "crash", match={"key": key})
        with pytest.raises(LOST):
            sends[kind]()
        assert mortal.server.wait_dead() == -signal.SIGKILL
        mortal.server.restart()
        assert mortal.server.boot == boot + 1
        assert kv.get(key) == (("x", 1) if committed else (None, 0))
        retried(kv, key, sends[kind], committed)
    assert kv.get(survivor) == ("x", 1)


def test_a_failing_call_harms_no_neighbour(armed):
    """One call of a batch that fails or is rolled back takes none of the others with it."""
    from tests.support.caller import request

    bad, good = unique(), [unique() for _ in range(4)]
    armed.arm("after_execute", "error", match={"key": bad})
    batch = [request("kv.append", {"key": key, "value": "x"}, id=key) for key in [*good[:2], bad, *good[2:]]]
    by_id = {answer.id: answer for answer in armed.kv.send(batch).answers}
    expect(by_id[bad], -32603)
    assert [by_id[key].ok["version"] for key in good] == [1] * 4
    assert [armed.kv.get(key) for key in good] == [("x", 1)] * 4
