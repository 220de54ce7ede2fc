"""Section 4: the rules of an Idempotency-Key, live and after restarts."""

from __future__ import annotations

from tests.support.across_restarts import across_restarts
from tests.support.replies import expect
from tests.support.seed import unique


def replay_of(answer, first):
    """The answer is the first one's replay, by header, by mark and by content."""
    assert answer.headers.get("Idempotent-Replayed") == "true"
    assert answer.replayed
    assert answer.bare == first.bare
    return True


@across_restarts
def test_a_retry_gets_the_first_reply(kv, other):
    """The same payload under the same key: the first reply with mark and header, and one effect."""
    target, idempotency_key = unique(), unique()
    first = kv.keyed(idempotency_key, "kv.append", key=target, value="x")
    assert (first.ok, first.headers.get("Idempotent-Replayed")) == ({"version": 1, "offset": 0}, None)
    yield
    kv.ok("kv.append", key=target, value="y")
    assert replay_of(kv.keyed(idempotency_key, "kv.append", value="x", key=target), first)
    assert kv.get(target) == ("xy", 2)


@across_restarts
def test_another_payload_is_422(kv, other):
    """Another payload under the same key: HTTP 422 with the identity_reused body, nothing runs, the record stays."""
    target, idempotency_key = unique(), unique()
    first = kv.keyed(idempotency_key, "kv.append", key=target, value="x")
    yield
    expect(kv.keyed(idempotency_key, "kv.append", key=target, value="y"), 1002, status=422)
    expect(kv.keyed(idempotency_key, "kv.put", key=target, value="x"), 1002, status=422)
    assert replay_of(kv.keyed(idempotency_key, "kv.append", key=target, value="x"), first)
    assert kv.get(target) == ("x", 1)


@across_restarts
def test_recorded_errors_are_replayed(kv, other):
    """A definite error is the call's reply: a retry gets it with mark and header, though it would succeed now."""
    target, idempotency_key = unique(), unique()
    first = kv.keyed(idempotency_key, "kv.put", key=target, value="x", if_version=1)
    expect(first, 22)
    yield
    kv.ok("kv.put", key=target, value="y")
    again = kv.keyed(idempotency_key, "kv.put", key=target, value="x", if_version=1)
    assert expect(again, 22)["_meta"] == {"replayed": True}
    assert replay_of(again, first)
    assert kv.get(target) == ("y", 1)


@across_restarts
def test_session_open_is_safe_to_retry(kv, other):
    """session.open under a key: a retry gets the same session, which lives; another lease is another payload."""
    idempotency_key = unique()
    first = kv.keyed(idempotency_key, "session.open", lease_ms=600_000)
    yield
    assert replay_of(kv.keyed(idempotency_key, "session.open", lease_ms=600_000), first)
    assert kv.call("session.renew", _meta={"session": first.ok["session"]}).ok == {"lease_ms": 600_000}
    expect(kv.keyed(idempotency_key, "session.open", lease_ms=610_000), 1002, status=422)


@across_restarts
def test_each_token_has_its_own_keys(kv, other):
    """A key is scoped to its caller's token: two callers with the same key have two calls, each with its own record."""
    target, idempotency_key = unique(), unique()
    mine = kv.keyed(idempotency_key, "kv.append", key=target, value="x")
    theirs = other.keyed(idempotency_key, "kv.append", key=target, value="yy")
    assert (mine.ok, theirs.ok) == ({"version": 1, "offset": 0}, {"version": 2, "offset": 1})
    yield
    assert replay_of(kv.keyed(idempotency_key, "kv.append", key=target, value="x"), mine)
    assert replay_of(other.keyed(idempotency_key, "kv.append", key=target, value="yy"), theirs)
    assert kv.get(target) == ("xyy", 2)


@across_restarts
def test_transactions_are_recorded_whole(kv, other):
    """A kv.txn under a key brings all its results again."""
    target, idempotency_key = unique(), unique()
    ops = [{"op": "increment", "key": target}, {"op": "get", "key": target}]
    first = kv.keyed(idempotency_key, "kv.txn", checks=[], ops=ops)
    yield
    assert replay_of(kv.keyed(idempotency_key, "kv.txn", ops=ops, checks=[]), first)
    assert first.bare == {"result": {"results": [{"value": 1, "version": 1}, {"value": "1", "version": 1}]}}
    assert kv.get(target) == ("1", 1)
