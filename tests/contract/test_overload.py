"""Sections 2, 5 and 7: over --queue-max a call is refused before it began, with HTTP 503 where it stands alone."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.caller import request
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import at_once, in_background, until

QUEUE_MAX = 2
HOLD_MS = 1_500


@pytest.fixture(scope="module")
def small(fresh_for_module):
    """A server whose queue takes two calls."""
    return fresh_for_module(failpoints=True, extra_args=["--queue-max", str(QUEUE_MAX)])


@pytest.fixture
def full(small):
    """The same while a call holds the committer and others fill the queue; each of them appends to one key."""
    blocker, filler = unique(), unique()
    held = small.holding("after_execute", HOLD_MS, blocker, lambda: small.kv.call("kv.put", key=blocker, value="x"))
    waiting = [in_background(lambda: small.kv.call("kv.append", key=filler, value="x")) for _ in range(QUEUE_MAX + 2)]
    until(lambda: any(future.done() for future in waiting), what="a refusal")
    assert not held.done(), "the queue must be full because the committer is held, not because it is slow"
    yield small
    held.result(60)
    answers = [future.result(60) for future in waiting]
    refused = [answer for answer in answers if answer.error is not None]
    for answer in refused:
        expect(answer, 11, status=503)
    ran = len(answers) - len(refused)
    assert small.kv.get(filler) == (("x" * ran, ran) if ran else (None, 0))


def test_a_refused_call_is_503_with_retry_after(full):
    """A single call over the limit: HTTP 503, Retry-After, the overloaded body, and no effect ever."""
    key = unique()
    answers = at_once([lambda: full.kv.call("kv.append", key=key, value="x")] * 6)
    for answer in answers:
        expect(answer, 11, status=503)
        assert int(answer.headers["Retry-After"]) >= 0
    until(lambda: full.kv.call("kv.put", key=unique(), value="x").error is None, what="room in the queue")
    assert full.kv.get(key) == (None, 0)


def test_a_refused_batch_is_503(full):
    """A whole batch over the limit: HTTP 503 with Retry-After; it has no effect."""
    key = unique()
    reply = full.kv.send([request("kv.append", {"key": key, "value": "x"}, id=n) for n in range(3)])
    assert reply.status == 503
    assert int(reply.headers["Retry-After"]) >= 0
    until(lambda: full.kv.call("kv.put", key=unique(), value="x").error is None, what="room in the queue")
    assert full.kv.get(key) == (None, 0)


def test_a_call_refused_inside_a_batch_is_200(full):
    """In a batch of which something was answered, a refused call is one error among the answers: HTTP 200."""
    reply = full.kv.send([request("kv.append", {"key": unique(), "value": "x"}, id=1), request("rpc.discover", id=2)])
    assert reply.status == 200
    by_id = {answer.id: answer for answer in reply.answers}
    expect(by_id[1], 11)
    assert by_id[2].ok


def test_a_refusal_for_load_is_not_recorded(small):
    """What was refused for load runs on a later attempt, once."""
    session, key, blocker = small.kv.open(), unique(), unique()
    seqs = range(1, QUEUE_MAX + 5)
    held = small.holding("after_execute", HOLD_MS, blocker, lambda: small.kv.call("kv.put", key=blocker, value="x"))
    answers = at_once([partial(session.do, seq, "kv.increment", key=key) for seq in seqs])
    refused = [seq for seq, answer in zip(seqs, answers, strict=True) if answer.code == 11]
    assert refused
    assert held.result(60).ok
    for seq in seqs:
        answer = session.do(seq, "kv.increment", key=key)
        assert answer.replayed is (seq not in refused)
    assert small.kv.get(key) == (str(len(seqs)), len(seqs))
