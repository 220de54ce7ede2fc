"""Sections 3 to 5: sessions are opened, renewed and closed, and what is not open is refused."""

from __future__ import annotations

import pytest

from tests.support.across_restarts import across_restarts
from tests.support.replies import expect
from tests.support.seed import unique

DAY_MS = 24 * 60 * 60 * 1000


def every_use(session, key):
    """One call of every kind that names a session."""
    return [
        session.do(1, "kv.append", key=key, value="x"),
        session.do(2, "kv.txn", checks=[], ops=[{"op": "put", "key": key, "value": "x"}]),
        session.call("kv.get", key=key),
        session.call("kv.list", prefix=key),
        session.call("kv.txn", checks=[], ops=[{"op": "get", "key": key}]),
        session.call("session.renew"),
        session.call("session.close"),
    ]


def refused(session):
    """Nothing that names this session runs: every use of it is session_unknown."""
    key = unique()
    for answer in every_use(session, key):
        expect(answer, 1001)
    assert session.kv.get(key) == (None, 0)


@pytest.mark.parametrize("lease_ms", [1_000, 60_000, DAY_MS])
def test_a_session_has_the_lease_asked_for(kv, lease_ms):
    """session.open gives the lease that was asked for, up to 24 hours."""
    assert kv.ok("session.open", lease_ms=lease_ms)["lease_ms"] == lease_ms


@pytest.mark.parametrize("lease_ms", [DAY_MS + 1, 10**12, 2**63 - 1])
def test_a_longer_lease_is_clamped(kv, lease_ms):
    """A lease over 24 hours becomes 24 hours."""
    assert kv.ok("session.open", lease_ms=lease_ms)["lease_ms"] == DAY_MS


def test_the_default_lease(kv):
    """Without `lease_ms` a session is kept for ten minutes; the reply has exactly the members of the table."""
    opened = kv.ok("session.open")
    assert opened.keys() == {"session", "lease_ms", "window"}
    assert opened["lease_ms"] == 600_000


def test_renew_and_close_say_so(kv):
    """session.renew returns the lease, session.close that it closed."""
    session = kv.open(lease_ms=5_000)
    assert session.call("session.renew").ok == {"lease_ms": 5_000}
    assert session.call("session.close").ok == {"closed": True}


@across_restarts
def test_session_names_are_never_given_twice(kv, other):
    """Every session.open gives another name, of at least 128 random bits, after restarts too."""
    names = {kv.open().name for _ in range(40)}
    yield
    names |= {kv.open().name for _ in range(40)}
    assert len(names) == 80
    assert min(map(len, names)) >= 20  # 128 bits take 20 printable characters at the very least
    assert len({name[:8] for name in names}) == 80  # no counter, no clock in front


@across_restarts
def test_a_closed_session_is_refused(kv, other):
    """After session.close nothing runs in the session, not even a retry of what ran before."""
    session, key = kv.open(), unique()
    session.do(1, "kv.append", key=key, value="x")
    session.close()
    yield
    expect(session.do(1, "kv.append", key=key, value="x"), 1001)
    refused(session)
    assert kv.get(key) == ("x", 1)


@across_restarts
def test_closing_one_session_leaves_the_others(kv, other):
    """session.close ends its own session alone."""
    closed, open_ = kv.open(), kv.open()
    closed.close()
    yield
    assert open_.call("session.renew").ok


@pytest.mark.parametrize(
    "name",
    ["", "x", "0", "null", "a" * 43, "%", "' OR 1=1 --", "\0", "é😀", "x" * 10_000],
    ids=lambda name: ascii(name)[:16],
)
def test_a_session_that_was_never_opened_is_refused(kv, name):
    """A made-up session is session_unknown (or no session name at all), and nothing runs."""
    key = unique()
    for method, meta, params in [
        ("kv.append", {"seq": 1}, {"key": key, "value": "x"}),
        ("kv.get", {}, {"key": key}),
        ("session.renew", {}, {}),
    ]:
        answer = kv.call(method, **params, _meta={"session": name, **meta})
        assert answer.code in (1001, -32602)
        expect(answer, answer.code)
    assert kv.get(key) == (None, 0)


def test_a_changed_name_is_another_session(kv):
    """A session's name must be given exactly: one character more, less or changed, or other case, is unknown."""
    session = kv.open()
    name = session.name
    for changed in (
        name + "x",
        name[:-1],
        name[1:],
        ("a" if name[0] != "a" else "b") + name[1:],
        name.swapcase(),
        name + " ",
    ):
        expect(kv.call("kv.get", key="k", _meta={"session": changed}), 1001)
    assert session.call("session.renew").ok


def test_sessions_are_never_shown(node):
    """A session's name stands in no log and no metric, not even after errors."""
    sessions = [node.kv.open() for _ in range(3)]
    key = unique()
    sessions[0].do(1, "kv.append", key=key, value="x")
    sessions[0].do(1, "kv.append", key=key, value="y")
    sessions[1].do(5000, "kv.append", key=key, value="x")
    sessions[2].close()
    sessions[2].do(1, "kv.append", key=key, value="x")
    shown = node.server.log.read_text() + node.kv.fetch("GET", "/metrics").body.decode()
    assert [session.name for session in sessions if session.name in shown] == []
