"""Section 4, rules 5 and 6: a lease runs out when nobody calls, calls renew it, and downtime does not count."""

from __future__ import annotations

import time

import pytest

from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import let_leases_run_out

LEASE_MS = 1_500
GETS = {"checks": [], "ops": [{"op": "get", "key": "k"}]}
RENEWALS = {
    "write": lambda session, n: session.do(n, "kv.append", key=session.name[:8], value="x"),
    "replay": lambda session, n: session.do(1, "kv.append", key=session.name[:8], value="x"),
    "get": lambda session, n: session.call("kv.get", key="k"),
    "list": lambda session, n: session.call("kv.list", limit=1),
    "read-txn": lambda session, n: session.call("kv.txn", **GETS),
    "renew": lambda session, n: session.call("session.renew"),
}


@pytest.fixture(scope="module")
def aged(fresh_for_module):
    """Sessions two leases later: one renewed in each way, and one that nobody called."""
    kv = fresh_for_module(extra_args=["--lease-ms", str(LEASE_MS)]).kv
    sessions = {channel: kv.open() for channel in [*RENEWALS, "none"]}
    end = time.monotonic() + 2 * LEASE_MS / 1000
    count = 0
    while time.monotonic() < end:
        count += 1
        for channel, renew in RENEWALS.items():
            assert renew(sessions[channel], count).error is None, f"{channel} after {count} rounds"
        let_leases_run_out(LEASE_MS // 4)
    return sessions


@pytest.mark.parametrize("channel", RENEWALS)
def test_calls_renew_the_lease(aged, channel):
    """A session outlives its lease while calls keep coming, of whatever kind."""
    assert aged[channel].call("session.renew").ok == {"lease_ms": LEASE_MS}


def test_a_lease_runs_out(aged):
    """A session that nobody called for its lease is session_unknown, and stays so."""
    key = unique()
    for _ in range(2):
        expect(aged["none"].do(1, "kv.append", key=key, value="x"), 1001)
        expect(aged["none"].call("session.renew"), 1001)
    assert aged["write"].kv.get(key) == (None, 0)


def test_the_option_sets_the_default_lease(aged):
    """--lease-ms is the lease of a session that asks for none; one that asks has its own."""
    kv = aged["write"].kv
    assert kv.ok("session.open")["lease_ms"] == LEASE_MS
    assert kv.ok("session.open", lease_ms=7_000)["lease_ms"] == 7_000


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_downtime_does_not_count(fresh, end):
    """A server that was down for longer than a lease takes nothing from it."""
    node = fresh()
    session, key = node.kv.open(lease_ms=LEASE_MS), unique()
    session.do(1, "kv.append", key=key, value="x")
    getattr(node.server, end)()
    let_leases_run_out(LEASE_MS)
    node.server.start()
    assert session.do(1, "kv.append", key=key, value="x").replayed
    assert node.kv.get(key) == ("x", 1)


@pytest.mark.parametrize("use", ["session.renew", "kv.get"])
def test_a_session_once_refused_stays_refused(fresh, use):
    """A session that was refused as expired stays refused after a restart, even if the server died the moment after."""
    node = fresh()
    session, params = node.kv.open(lease_ms=300), {"key": "k"} if use == "kv.get" else {}
    let_leases_run_out(300)
    expect(session.call(use, **params), 1001)
    node.server.kill()
    node.server.start()
    expect(session.call(use, **params), 1001)
    expect(session.do(1, "kv.append", key="k", value="x"), 1001)
    assert node.kv.get("k") == (None, 0)
