"""Section 4: `timeout_ms`. A server that has not begun when the client stops waiting refuses."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import unique


def test_zero_is_expired_at_once(kv):
    """timeout_ms 0: expired, and nothing runs, with a session and without."""
    key = unique()
    expect(kv.call("kv.append", key=key, value="x", _meta={"timeout_ms": 0}), 1005)
    expect(kv.open().call("kv.append", meta={"seq": 1, "timeout_ms": 0}, key=key, value="x"), 1005)
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize(("method", "params"), [("kv.get", {"key": "k"}), ("kv.list", {}), ("session.renew", {})])
def test_zero_is_expired_for_any_call(kv, method, params):
    """timeout_ms 0 is expired for reads and for session.renew, too."""
    expect(kv.open().call(method, meta={"timeout_ms": 0}, **params), 1005)


def test_an_expired_attempt_is_not_recorded(kv):
    """A later attempt of an expired call runs, and is no replay."""
    session, key = kv.open(), unique()
    expect(session.call("kv.append", meta={"seq": 1, "timeout_ms": 0}, key=key, value="x"), 1005)
    assert not session.call("kv.append", meta={"seq": 1, "timeout_ms": 10_000}, key=key, value="x").replayed
    assert kv.get(key) == ("x", 1)


def test_the_deadline_is_tested_after_before_execute(armed):
    """A call held up at before_execute for longer than it may wait is expired; its next attempt runs."""
    session, key = armed.kv.open(), unique()
    armed.arm("before_execute", "sleep:300", match={"key": key})
    expect(session.call("kv.append", meta={"seq": 1, "timeout_ms": 100}, key=key, value="x"), 1005)
    assert armed.kv.get(key) == (None, 0)
    assert not session.do(1, "kv.append", key=key, value="x").replayed
    assert armed.kv.get(key) == ("x", 1)


@pytest.mark.parametrize(
    ("name", "timeout_ms"), [("before_execute", 10_000), ("after_execute", 150), ("after_commit", 150)]
)
def test_what_has_begun_is_finished(armed, name, timeout_ms):
    """A call that begins in time runs to its end, however late its reply is."""
    session, key = armed.kv.open(), unique()
    armed.arm(name, "sleep:300", match={"key": key})
    assert session.call("kv.append", meta={"seq": 1, "timeout_ms": timeout_ms}, key=key, value="x").ok == {
        "version": 1,
        "offset": 0,
    }
    assert armed.kv.get(key) == ("x", 1)
