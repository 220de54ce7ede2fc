"""docs/protocol.md, rule 3: a duplicate that arrives while the first still runs waits for it and gets its reply."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import at_once, in_background

HOLD_MS = 600
POINTS = ["before_execute", "after_execute", "after_commit"]


def attempt(node, kind, key):
    """An attempt of one and the same call, identified by a session or by a key."""
    if kind == "session":
        session = node.kv.open()
        return lambda value="x": session.do(1, "kv.append", key=key, value=value)
    idempotency_key = unique()
    return lambda value="x": node.kv.keyed(idempotency_key, "kv.append", key=key, value=value)


@pytest.mark.parametrize("kind", ["session", "key"])
@pytest.mark.parametrize("point", POINTS)
def test_a_duplicate_gets_the_reply_of_the_one_that_runs(armed, point, kind):
    """Wherever the first attempt is held up: one effect, the same reply for all, and one of them without a mark."""
    key = unique()
    send = attempt(armed, kind, key)
    first = armed.holding(point, HOLD_MS, key, send)
    assert not first.done(), "the failpoint must hold the first attempt while the duplicates arrive"
    answers = [*at_once([send] * 3), first.result(60)]
    assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * 4
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True]
    assert armed.kv.get(key) == ("x", 1)


@pytest.mark.parametrize("kind", ["session", "key"])
def test_another_payload_meets_one_that_runs(armed, kind):
    """Another payload under an identity that still runs is refused, not run and not mixed up with it."""
    key = unique()
    send = attempt(armed, kind, key)
    first = armed.holding("after_execute", HOLD_MS, key, send)
    other = in_background(lambda: send("y"))
    expect(other.result(60), 1002, status=422 if kind == "key" else 200)
    assert first.result(60).ok == {"version": 1, "offset": 0}
    assert armed.kv.get(key) == ("x", 1)


@pytest.mark.parametrize("kind", ["session", "key"])
def test_many_attempts_at_the_same_moment(kv, node, kind):
    """Sixteen attempts at once: one effect, one reply without a mark, fifteen replays equal to it."""
    for _ in range(5):
        key = unique()
        answers = at_once([attempt(node, kind, key)] * 16)
        assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * 16
        assert sum(not answer.replayed for answer in answers) == 1
        assert kv.get(key) == ("x", 1)


def test_an_error_is_shared_as_well(kv):
    """Attempts at once of a call that fails all get the same recorded error."""
    session, key = kv.open(), unique()
    kv.ok("kv.put", key=key, value="word")
    answers = at_once([lambda: session.do(1, "kv.increment", key=key)] * 8)
    for answer in answers:
        expect(answer, 23)
    assert sum(not answer.replayed for answer in answers) == 1


def test_an_acknowledgement_meets_a_late_attempt(kv):
    """Acknowledging while late attempts arrive: each attempt is a replay or stale, and none runs again."""
    for _ in range(10):
        session, key = kv.open(), unique()
        session.do(1, "kv.append", key=key, value="x")

        def late(session=session, key=key):
            return session.do(1, "kv.append", key=key, value="x")

        def acknowledge(session=session, key=key):
            return session.call("kv.append", meta={"seq": 2, "acked": 1}, key=key, value="y")

        answers = at_once([late, acknowledge, late, late])
        assert not answers.pop(1).replayed
        assert all(answer.code == 1003 or answer.replayed for answer in answers)
        assert kv.get(key) == ("xy", 2)
