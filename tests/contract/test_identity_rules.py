"""Section 4, rules 1 and 2: one identity, one effect, one reply; live and after restarts."""

from __future__ import annotations

import json
from typing import Any

from tests.support.across_restarts import across_restarts
from tests.support.caller import request
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import until


@across_restarts
def test_a_retry_gets_the_first_result(kv, other):
    """Each kind of write, sent again, gets its first result with the replay mark, and has run once."""
    session = kv.open()
    keys = [unique() for _ in range(5)]
    kv.ok("kv.put", key=keys[3], value="x")
    ops = [{"op": "append", "key": keys[4], "value": "x"}, {"op": "get", "key": keys[4]}]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("kv.put", {"key": keys[0], "value": "x"}),
        ("kv.append", {"key": keys[1], "value": "x"}),
        ("kv.increment", {"key": keys[2], "by": 3}),
        ("kv.delete", {"key": keys[3]}),
        ("kv.txn", {"checks": [], "ops": ops}),
    ]
    first = [session.do(seq, method, **params) for seq, (method, params) in enumerate(calls, 1)]
    assert [(answer.ok, answer.replayed) for answer in first] == [
        ({"version": 1}, False), ({"version": 1, "offset": 0}, False), ({"value": 3, "version": 1}, False),
        ({"deleted": True}, False), ({"results": [{"version": 1, "offset": 0}, {"value": "x", "version": 1}]}, False),
    ]  # fmt: skip
    yield
    for _ in range(2):
        again = [session.do(seq, method, **params) for seq, (method, params) in enumerate(calls, 1)]
        assert [answer.ok for answer in again] == [{**answer.ok, "_meta": {"replayed": True}} for answer in first]
    assert [kv.get(key) for key in keys] == [("x", 1), ("x", 1), ("3", 1), (None, 0), ("x", 1)]


@across_restarts
def test_a_replay_tells_of_then_not_of_now(kv, other):
    """A replay is the first reply, whatever was written meanwhile, and it undoes nothing of that."""
    session, key = kv.open(), unique()
    first = session.do(1, "kv.put", key=key, value="old")
    yield
    kv.ok("kv.put", key=key, value="new")
    assert session.do(1, "kv.put", key=key, value="old").bare == first.bare == {"result": {"version": 1}}
    assert kv.get(key) == ("new", 2)


@across_restarts
def test_recorded_errors_are_replayed(kv, other):
    """version_mismatch, not_an_integer and too_large are replies: a retry gets them, though it would succeed now."""
    session, key, full = kv.open(), unique(), unique()
    kv.ok("kv.put", key=key, value="word")
    kv.ok("kv.put", key=full, value="x" * 2**20)
    failing_txn = {"checks": [{"key": key, "version": 0}], "ops": [{"op": "delete", "key": full}]}
    calls: list[tuple[str, dict[str, Any], int]] = [
        ("kv.put", {"key": key, "value": "x", "if_version": 0}, 22),
        ("kv.increment", {"key": key}, 23),
        ("kv.append", {"key": full, "value": "x"}, 24),
        ("kv.delete", {"key": key, "if_version": 9}, 22),
        ("kv.txn", failing_txn, 22),
    ]
    first = [session.do(seq, method, **params) for seq, (method, params, _) in enumerate(calls, 1)]
    for answer, (_, _, code) in zip(first, calls, strict=True):
        expect(answer, code)
        assert not answer.replayed
    yield
    kv.ok("kv.delete", key=key)
    kv.ok("kv.put", key=full, value="x")
    for seq, (method, params, code) in enumerate(calls, 1):
        again = session.do(seq, method, **params)
        assert expect(again, code)["_meta"] == {"replayed": True}
        assert again.bare == first[seq - 1].bare
    assert (kv.get(key), kv.get(full)) == ((None, 0), ("x", 2))


@across_restarts
def test_calls_arrive_in_any_order(kv, other):
    """Calls of one session may come in any order, and each runs once; a session goes on after a restart."""
    session, key = kv.open(), unique()
    for seq in (3, 1, 5):
        session.do(seq, "kv.append", key=key, value=str(seq))
    yield
    replayed = [session.do(seq, "kv.append", key=key, value=str(seq)).replayed for seq in (4, 3, 2, 5, 1, 2)]
    assert replayed == [False, True, False, True, True, True]
    assert kv.get(key) == ("31542", 5)


@across_restarts
def test_the_id_is_the_attempts_own(kv, other):
    """A replay comes under the JSON-RPC id of its own request, of whatever type."""
    session, key = kv.open(), unique()
    params = {"key": key, "value": "x", "_meta": {"session": session.name, "seq": 1}}
    assert kv.send(request("kv.append", params, id="first")).answer.id == "first"
    yield
    for identifier in (2, "third", None):
        answer = kv.send(request("kv.append", params, id=identifier)).answer
        assert (answer.id, answer.replayed) == (identifier, True)


@across_restarts
def test_a_notification_is_an_attempt_too(kv, other):
    """A call that came as a notification has run: a request with its identity gets the reply that nobody saw."""
    session, key = kv.open(), unique()
    params = {"key": key, "value": "x", "_meta": {"session": session.name, "seq": 1}}
    assert kv.send(request("kv.append", params)).status == 204
    until(lambda: kv.get(key) == ("x", 1), what="the notification's effect")
    yield
    assert kv.send(request("kv.append", params)).status == 204
    assert kv.send(request("kv.append", params, id=1)).answer.ok == {
        "version": 1,
        "offset": 0,
        "_meta": {"replayed": True},
    }
    assert kv.get(key) == ("x", 1)


@across_restarts
def test_batches_carry_identities(kv, other):
    """A call is the same call alone and in a batch, and twice in one batch it still runs once."""
    session, key = kv.open(), unique()
    calls = [
        request("kv.append", {"key": key, "value": "x", "_meta": {"session": session.name, "seq": 1}}, id=n)
        for n in range(4)
    ]
    answers = kv.send(calls).answers
    assert sorted(answer.id for answer in answers) == [0, 1, 2, 3]
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True]
    yield
    answers += [*kv.send(calls).answers, kv.send(calls[0]).answer]
    assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * 9
    assert kv.get(key) == ("x", 1)


@across_restarts
def test_what_left_is_durable(kv, other):
    """Writes are durable before the reply leaves: after a restart all is as the replies said."""
    stem = unique()
    kv.ok("kv.put", key=stem + "p", value="\0é😀")
    kv.ok("kv.append", key=stem + "a", value="x")
    kv.ok("kv.append", key=stem + "a", value="y")
    kv.ok("kv.increment", key=stem + "i", by=-5)
    kv.ok("kv.put", key=stem + "d", value="gone")
    kv.ok("kv.delete", key=stem + "d")
    kv.ok("kv.txn", checks=[], ops=[{"op": "put", "key": stem + "t", "value": "t"}])
    expected = kv.ok("kv.list", prefix=stem)
    assert len(json.dumps(expected)) > 100
    yield
    assert kv.ok("kv.list", prefix=stem) == expected
    assert kv.ok("kv.append", key=stem + "a", value="z") == {"version": 3, "offset": 2}


@across_restarts
def test_what_one_client_sends_leaves_the_others_records(kv, other):
    """Two sessions with the same seqs are apart: neither's calls, acknowledgements or end touch the other's records."""
    mine, theirs = kv.open(), other.open()
    my_key, their_key = unique(), unique()
    first = mine.do(1, "kv.append", key=my_key, value="mine")
    assert not theirs.do(1, "kv.append", key=their_key, value="theirs").replayed
    assert not theirs.call("kv.append", meta={"seq": 9, "acked": 8}, key=their_key, value="!").replayed
    theirs.close()
    yield
    again = mine.do(1, "kv.append", key=my_key, value="mine")
    assert (again.replayed, again.bare) == (True, first.bare)
    assert not mine.do(9, "kv.append", key=my_key, value="!").replayed
    assert (kv.get(my_key), kv.get(their_key)) == (("mine!", 2), ("theirs!", 2))
