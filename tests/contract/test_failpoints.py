"""Section 9: how failpoints are armed, matched, counted; what passes them and what does not."""

from __future__ import annotations

import time

import pytest

from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import until

POINTS = ["before_execute", "after_execute", "after_commit"]


def test_without_the_option_there_are_none(kv):
    """A server without --failpoints does not know the methods."""
    expect(kv.call("debug.failpoint", name="before_execute", action="error"), -32601)
    expect(kv.call("debug.failpoints"), -32601)
    assert "debug." not in str([method["name"] for method in kv.ok("rpc.discover")["methods"]])


@pytest.mark.parametrize("point", POINTS)
def test_a_failpoint_fires_once_by_default_and_is_counted(armed, point):
    """A failpoint fires for one call, then no more, and debug.failpoints counts it."""
    key, before = unique(), armed.fired(point)
    armed.arm(point, "sleep:0", match={"key": key})
    for _ in range(3):
        armed.kv.ok("kv.append", key=key, value="x")
    assert armed.fired(point) == before + 1


@pytest.mark.parametrize("point", POINTS)
def test_a_failpoint_fires_as_often_as_told(armed, point):
    """With `count` it fires that often, and each one is counted."""
    key, before = unique(), armed.fired(point)
    armed.arm(point, "error", count=3, match={"key": key})
    codes = [armed.kv.call("kv.append", key=key, value="x").code for _ in range(5)]
    assert codes == [-32603] * 3 + [None] * 2
    assert armed.fired(point) == before + 3


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("kv.put", {"value": "x"}),
        ("kv.append", {"value": "x"}),
        ("kv.increment", {}),
        ("kv.delete", {}),
    ],
)
def test_every_write_passes(armed, method, params):
    """Each method that writes passes the failpoints; one that matches by key and method waits for both."""
    key = unique()
    armed.arm("before_execute", "error", match={"method": method, "key": key})
    passing = "kv.append" if method == "kv.put" else "kv.put"
    assert armed.kv.call(passing, key=key, value="1").error is None
    assert armed.kv.call(method, key=unique(), **params).error is None
    expect(armed.kv.call(method, key=key, **params), -32603)
    assert armed.kv.call(method, key=key, **params).error is None


def test_match_by_method_alone(armed):
    """A match by method fires for any key, and for that method alone; kv.txn passes too when it writes."""
    key = unique()
    ops = [{"op": "put", "key": key, "value": "x"}]
    armed.arm("before_execute", "error", match={"method": "kv.txn"})
    assert armed.kv.call("kv.put", key=key, value="x").error is None
    assert armed.kv.call("kv.txn", checks=[], ops=[{"op": "get", "key": key}]).error is None
    expect(armed.kv.call("kv.txn", checks=[], ops=ops), -32603)
    assert armed.kv.call("kv.txn", checks=[], ops=ops).error is None


@pytest.mark.parametrize("point", POINTS)
def test_only_writes_pass(armed, point):
    """Reads, sessions and the rest pass no failpoint, not even one that matches everything."""
    kv, key = armed.kv, unique()
    armed.arm(point, "error")
    assert kv.get(key) == (None, 0)
    assert kv.ok("kv.list", prefix=key)["items"] == []
    assert kv.ok("kv.txn", checks=[], ops=[{"op": "get", "key": key}])
    session = kv.open()
    assert session.call("session.renew").ok
    assert session.call("session.close").ok
    assert kv.ok("server.info")
    expect(kv.call("kv.put", key=key, value="x"), -32603)
    assert kv.call("kv.put", key=key, value="x").error is None


@pytest.mark.parametrize("point", POINTS)
def test_sleep_holds_the_call_up(armed, point):
    """sleep:MS delays the reply by at least that long, and the call succeeds."""
    key = unique()
    armed.arm(point, "sleep:200", match={"key": key})
    start = time.monotonic()
    assert armed.kv.ok("kv.append", key=key, value="x") == {"version": 1, "offset": 0}
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"name": "before_execute"},
        {"action": "error"},
        {"name": "nowhere", "action": "error"},
        {"name": "before_execute", "action": "explode"},
        {"name": "before_execute", "action": "sleep"},
        {"name": "before_execute", "action": "sleep:soon"},
        {"name": "before_execute", "action": "error", "count": "1"},
        {"name": "before_execute", "action": "error", "match": "k"},
        {"name": "before_execute", "action": "error", "match": {"colour": "red"}},
        {"name": "before_execute", "action": "error", "bogus": 1},
    ],
    ids=str,
)
def test_a_wrong_failpoint_is_refused(armed, params):
    """A failpoint of an unknown name or action, or of a wrong shape, is invalid_params, and nothing is armed."""
    expect(armed.kv.call("debug.failpoint", **params), -32602)
    assert armed.kv.call("kv.put", key=unique(), value="x").error is None


def test_internal_error_tells_nothing_and_is_logged(armed):
    """internal_error is indefinite; the reason stands in the server's log and not in the reply."""
    key, logged = unique(), armed.server.log.stat().st_size
    armed.arm("after_execute", "error", match={"key": key})
    answer = armed.kv.call("kv.put", key=key, value="x")
    expect(answer, -32603)
    assert "Traceback" not in str(answer.error)
    assert ".py" not in str(answer.error)
    until(lambda: armed.server.log.stat().st_size > logged, what="a line in the log")


def test_all_workers_are_armed(fresh):
    """With several workers a failpoint is armed in each: whichever takes a write, it fires."""
    node = fresh(failpoints=True, workers=2)
    key = unique()
    node.arm("before_execute", "error", count=24, match={"key": key})
    codes = []
    for _ in range(24):
        codes.append(node.kv.call("kv.append", key=key, value="x").code)
        node.kv.close()  # the next call may come to another worker
    assert codes == [-32603] * 24
