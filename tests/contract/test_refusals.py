"""docs/protocol.md, rule 2: refusals are never recorded; the identity is as unused after one as before."""

from __future__ import annotations

from tests.support.across_restarts import across_restarts
from tests.support.replies import expect
from tests.support.seed import unique


@across_restarts
def test_a_refused_attempt_leaves_the_identity_unused(kv, other):
    """After invalid_params, expired and window_exceeded the same identity runs, with any payload."""
    session, key = kv.open(), unique()
    expect(session.do(1, "kv.append", key=key, value=7), -32602)
    expect(session.do(1, "kv.append", key=key), -32602)
    expect(session.do(1, "kv.nothing", key=key, value="x"), -32601)
    expect(session.call("kv.append", meta={"seq": 1, "timeout_ms": 0}, key=key, value="y"), 1005)
    expect(session.do(1, "kv.append", key="", value="y"), -32602)
    yield
    answer = session.do(1, "kv.append", key=key, value="z")
    assert (answer.ok, answer.replayed) == ({"version": 1, "offset": 0}, False)
    assert kv.get(key) == ("z", 1)


@across_restarts
def test_a_refused_reuse_changes_nothing(kv, other):
    """identity_reused does not settle anything: the first payload still has its reply, the second is refused again."""
    session, key = kv.open(), unique()
    session.do(1, "kv.append", key=key, value="x")
    expect(session.do(1, "kv.append", key=key, value="y"), 1002)
    yield
    expect(session.do(1, "kv.append", key=key, value="y"), 1002)
    assert session.do(1, "kv.append", key=key, value="x").replayed
    assert kv.get(key) == ("x", 1)


@across_restarts
def test_without_an_identity_every_arrival_runs(kv, other):
    """A call with neither session nor Idempotency-Key is run each time that it arrives, and never marked."""
    key = unique()
    assert kv.ok("kv.append", key=key, value="x") == {"version": 1, "offset": 0}
    yield
    assert kv.ok("kv.append", key=key, value="x") == {"version": 2, "offset": 1}
    assert kv.ok("kv.append", key=key, value="x") == {"version": 3, "offset": 2}
