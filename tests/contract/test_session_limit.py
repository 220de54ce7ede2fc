"""Sections 5 and 7: --sessions-max. Over it nobody is let in, and nobody is put out."""

from __future__ import annotations

from tests.support.replies import expect
from tests.support.seed import unique


def test_the_session_limit_evicts_nobody(fresh):
    """At the limit session.open is too_many_sessions; the open ones live on; one that is closed makes room for one."""
    kv = fresh(extra_args=["--sessions-max", "3"]).kv
    sessions = [kv.open() for _ in range(3)]
    for _ in range(2):
        expect(kv.call("session.open"), 1006)
    key = unique()
    for session in sessions:
        assert session.do(1, "kv.append", key=key, value="x").ok
    assert sessions[0].call("session.close").ok
    assert kv.open().call("session.renew").ok
    expect(kv.call("session.open"), 1006)
    assert sessions[1].do(1, "kv.append", key=key, value="x").replayed


def test_a_refused_open_is_not_recorded(fresh):
    """An open that was refused under an Idempotency-Key succeeds under it later, and a replay takes no room."""
    kv = fresh(extra_args=["--sessions-max", "1"]).kv
    first = kv.keyed("first", "session.open")
    assert kv.keyed("first", "session.open").bare == first.bare
    expect(kv.keyed("second", "session.open"), 1006)
    assert kv.call("session.close", _meta={"session": first.ok["session"]}).ok
    second = kv.keyed("second", "session.open")
    assert not second.replayed
    assert kv.call("session.renew", _meta={"session": second.ok["session"]}).ok
