"""docs/protocol.md, rule 1: the rules hold across workers, and across servers that share one store."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.caller import LOST
from tests.support.one_effect import assert_one_effect_for_one_identity
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import at_once

THREADS = 20


@pytest.fixture(scope="module", params=["servers", "workers"])
def nodes(request, fresh_for_module):
    """Two servers on one SQLite file; or one server with two workers, twice."""
    if request.param == "servers":
        return [fresh_for_module("shared", failpoints=True) for _ in range(2)]
    return [fresh_for_module("workers", workers=2)] * 2


def test_one_effect_for_duplicates_everywhere(nodes):
    """Twenty attempts at each of two servers, at the same moment: one effect, one reply, and one of them unmarked."""
    assert_one_effect_for_one_identity(nodes, THREADS, 3)


def test_one_effect_for_one_idempotency_key(nodes):
    """The same with an Idempotency-Key, for a write and for session.open."""
    key, idempotency_key, opening = unique(), unique(), unique()
    callers = [node.kv for node in nodes for _ in range(THREADS)]
    answers = at_once([partial(kv.keyed, idempotency_key, "kv.append", key=key, value="x") for kv in callers])
    assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * 2 * THREADS
    assert sum(answer.headers.get("Idempotent-Replayed") != "true" for answer in answers) == 1
    opened = at_once([partial(kv.keyed, opening, "session.open") for kv in callers])
    assert len({answer.ok["session"] for answer in opened}) == 1
    assert nodes[1].kv.get(key) == ("x", 1)


def test_one_payload_wins(nodes):
    """Of different payloads under one identity exactly one runs, and all attempts with the others are refused."""
    session, key = nodes[0].kv.open(), unique()
    values = [f"{n % 5}" for n in range(2 * THREADS)]
    attempts = [session.at(nodes[n % 2].kv) for n in range(2 * THREADS)]
    pairs = zip(attempts, values, strict=True)
    answers = at_once([partial(at.do, 1, "kv.append", key=key, value=value) for at, value in pairs])
    won = nodes[0].kv.get(key)[0]
    for answer, value in zip(answers, values, strict=True):
        if value == won:
            assert answer.bare == {"result": {"version": 1, "offset": 0}}
        else:
            expect(answer, 1002)


def test_no_increment_is_lost(nodes):
    """Calls of one session from many threads at two servers: each runs once, and none is lost."""
    session, key = nodes[0].kv.open(), unique()

    def increments(first, at):
        return [at.do(seq, "kv.increment", key=key).ok["value"] for seq in range(first, 321, 16)]

    values = at_once([partial(increments, first, session.at(nodes[first % 2].kv)) for first in range(1, 17)])
    assert sorted(value for some in values for value in some) == list(range(1, 321))
    assert nodes[0].kv.get(key) == ("320", 320)


def test_sessions_are_known_everywhere_at_once(nodes):
    """What one server said of a session, every other knows: opened, acknowledged, closed."""
    here = nodes[0].kv.open()
    there = here.at(nodes[1].kv)
    key = unique()
    assert there.do(1, "kv.append", key=key, value="x").ok
    assert here.do(1, "kv.append", key=key, value="x").replayed
    here.ack(1)
    for _ in range(4):
        expect(there.do(1, "kv.append", key=key, value="x"), 1003)
    there.close()
    for session in (here, there) * 2:
        expect(session.do(2, "kv.append", key=key, value="x"), 1001)
    assert nodes[0].kv.get(key) == ("x", 1)


def test_a_stale_call_stays_stale_in_a_race(nodes):
    """An acknowledgement at one server and late attempts at the other: replay or stale, never a second effect."""
    for _ in range(5):
        session, key = nodes[0].kv.open(), unique()
        session.do(1, "kv.append", key=key, value="x")
        other = session.at(nodes[1].kv)
        late = partial(other.do, 1, "kv.append", key=key, value="x")
        answers = at_once([late, late, partial(session.call, "session.renew", meta={"acked": 1}), late, late])
        assert answers.pop(2).error is None
        assert all(answer.code == 1003 or answer.replayed for answer in answers)
        expect(other.do(1, "kv.append", key=key, value="x"), 1003)
        assert nodes[0].kv.get(key) == ("x", 1)


def test_a_duplicate_waits_for_another_server(fresh):
    """A duplicate at another server waits for the first, and gets its reply; had that server crashed, it runs."""
    first, second = fresh("shared", failpoints=True), fresh("shared")
    assert second.server.boot == first.server.boot + 1
    session, key = first.kv.open(), unique()
    held = first.holding("after_execute", 500, key, lambda: session.do(1, "kv.append", key=key, value="x"))
    answers = at_once([lambda: session.at(second.kv).do(1, "kv.append", key=key, value="x")] * 3)
    assert [answer.bare for answer in [*answers, held.result(60)]] == [{"result": {"version": 1, "offset": 0}}] * 4
    assert second.kv.get(key) == ("x", 1)
    first.arm("after_execute", "crash", match={"key": key})
    with pytest.raises(LOST):
        session.do(2, "kv.append", key=key, value="y")
    answer = session.at(second.kv).do(2, "kv.append", key=key, value="y")
    assert (answer.ok, answer.replayed) == ({"version": 2, "offset": 1}, False)
    assert second.kv.get(key) == ("xy", 2)
