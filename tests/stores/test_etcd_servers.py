"""Several servers on one etcd: every rule of identities and sessions holds over all of them."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.caller import LOST
from tests.support.one_effect import assert_one_effect_for_one_identity
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import at_once, until

THREADS = 10


@pytest.fixture
def nodes(etcd, serve):
    """Two servers on one store."""
    url = etcd.url()
    return [serve(url, failpoints=True), serve(url, failpoints=True)]


def test_one_effect_for_one_identity_at_two_servers(nodes):
    """Twenty attempts of one call, ten at each server, at one moment: one effect, and all but one reply are marked."""
    assert_one_effect_for_one_identity(nodes, THREADS, 5)


def test_a_session_closed_at_one_server_is_gone_at_the_other(nodes):
    """Also where the other one has just served it, and for an attempt that it has answered before."""
    here, key = nodes[0].kv.open(), unique()
    there = here.at(nodes[1].kv)
    assert there.do(1, "kv.append", key=key, value="x").ok
    here.close()
    expect(there.do(1, "kv.append", key=key, value="x"), 1001)
    expect(there.do(2, "kv.append", key=key, value="y"), 1001)
    assert nodes[1].kv.get(key) == ("x", 1)


def test_a_watermark_moved_at_one_server_holds_at_the_other(nodes):
    """What was acknowledged at one is stale at the other, and never runs."""
    here, key = nodes[0].kv.open(), unique()
    there = here.at(nodes[1].kv)
    assert there.do(1, "kv.append", key=key, value="x").ok
    assert there.do(1, "kv.append", key=key, value="x").replayed
    here.ack(1)
    expect(there.do(1, "kv.append", key=key, value="x"), 1003)
    here.ack(5)
    expect(there.do(4, "kv.append", key=key, value="y"), 1003)
    assert nodes[1].kv.get(key) == ("x", 1)


def test_the_retry_of_a_call_whose_server_was_killed_is_a_replay_at_another(nodes):
    """Killed after its commit, before its reply: what it did is known everywhere."""
    session, key = nodes[0].kv.open(), unique()
    nodes[0].arm("after_commit", "crash", match={"key": key})
    with pytest.raises(LOST):
        session.do(1, "kv.append", key=key, value="x")
    nodes[0].server.wait_dead()
    answer = session.at(nodes[1].kv).do(1, "kv.append", key=key, value="x")
    assert answer.replayed
    assert answer.bare == {"result": {"version": 1, "offset": 0}}
    assert nodes[1].kv.get(key) == ("x", 1)


@pytest.mark.parametrize("failpoint", ["before_execute", "after_execute"])
def test_a_server_that_stops_in_the_middle_holds_nobody_up(nodes, failpoint):
    """Paused while it runs a call: the retry runs at another server at once, and the late one does nothing more."""
    session, key = nodes[0].kv.open(), unique()
    held = nodes[0].holding(failpoint, 5000, key, lambda: session.do(1, "kv.append", key=key, value="x"))
    answer = session.at(nodes[1].kv).do(1, "kv.append", key=key, value="x")
    assert not held.done()
    assert (answer.ok, answer.replayed) == ({"version": 1, "offset": 0}, False)
    late = held.result(60)
    assert late.replayed
    assert late.bare == answer.bare
    assert nodes[1].kv.get(key) == ("x", 1)


def test_a_server_sees_what_another_has_just_written(nodes):
    """Read, written elsewhere, read again: a value, its version, its absence, and what is computed from them."""
    key = unique()
    for round_ in range(1, 20):
        here, there = nodes if round_ % 2 else nodes[::-1]
        assert here.kv.ok("kv.increment", key=key) == {"value": round_, "version": round_}
        assert there.kv.get(key) == (str(round_), round_)
    nodes[0].kv.ok("kv.delete", key=key)
    assert nodes[1].kv.get(key) == (None, 0)
    assert nodes[1].kv.ok("kv.append", key=key, value="x") == {"version": 1, "offset": 0}


def test_no_increment_is_lost_between_servers(nodes):
    """One key that both of them change all the time: each increment counts once."""
    key = unique()

    def increments(node):
        session = node.kv.open()
        return [session.do(seq, "kv.increment", key=key).ok["value"] for seq in range(1, 26)]

    values = at_once([partial(increments, node) for node in nodes for _ in range(4)], 60)
    assert sorted(value for some in values for value in some) == list(range(1, 201))


def test_an_idempotency_key_is_one_identity_everywhere(nodes):
    """The same key at two servers at one moment: one effect, and one session for `session.open`."""
    key, identity, opening = unique(), unique(), unique()
    callers = [node.kv for node in nodes for _ in range(THREADS)]
    answers = at_once([partial(kv.keyed, identity, "kv.append", key=key, value="x") for kv in callers])
    assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * 2 * THREADS
    opened = at_once([partial(kv.keyed, opening, "session.open") for kv in callers])
    assert len({answer.ok["session"] for answer in opened}) == 1
    expect(nodes[1].kv.keyed(identity, "kv.append", key=key, value="y"), 1002, 422)


def test_servers_that_write_other_keys_never_conflict(etcd, nodes):
    """Every transaction of both is committed at its first attempt: the revision grows by one for each group."""
    sessions = [node.kv.open() for node in nodes]
    keys = [unique(), unique()]

    def groups() -> float:
        pages = [node.kv.fetch("GET", "/metrics").body.decode() for node in nodes]
        return sum(float(line.split()[-1]) for page in pages for line in page.splitlines()
                   if line.startswith("oncekv_commit_groups_total"))  # fmt: skip

    def calls(number):
        for seq in range(1, 51):
            assert sessions[number].do(seq, "kv.append", key=keys[number], value="x").ok

    before, revision = groups(), etcd.revision()
    at_once([partial(calls, number) for number in range(2)])
    made, moved = groups() - before, etcd.revision() - revision
    assert made == 100
    assert moved <= made + 30, "the clocks' own transactions are a few"
    assert not any("given up" in node.server.log_tail(100_000) for node in nodes)


def test_servers_start_at_once_on_an_empty_store(etcd, serve):
    """Four of them: each gets a start number of its own, and all serve."""
    url = etcd.url()
    nodes = at_once([partial(serve, url) for _ in range(4)])
    assert sorted(node.server.boot for node in nodes) == [1, 2, 3, 4]
    for node in nodes:
        assert node.kv.ok("kv.put", key="k", value="v")["version"] >= 1


def test_what_is_counted_is_the_same_at_both(nodes):
    """Sessions and records, opened here and closed there."""

    def counts():
        pages = [node.kv.fetch("GET", "/metrics").body.decode().splitlines() for node in nodes]
        return [[line.split()[-1] for line in page if line.startswith(("oncekv_sessions ", "oncekv_records "))]
                for page in pages]  # fmt: skip

    session = nodes[0].kv.open()
    session.do(1, "kv.append", key=unique(), value="x")
    other = nodes[1].kv.open()
    assert counts() == [["2.0", "1.0"]] * 2
    session.at(nodes[1].kv).close()
    assert counts() == [["1.0", "0.0"]] * 2
    other.at(nodes[0].kv).close()
    assert counts() == [["0.0", "0.0"]] * 2


def test_what_a_server_counted_is_kept_when_it_ends(etcd, serve):
    """Its own row is folded at its end, and of a start nothing is left behind."""
    prefix = etcd.new_prefix()
    first = serve(etcd.url(prefix))
    first.kv.open()
    assert first.server.stop() == 0
    rows = etcd.get(f"/{prefix}/server/", is_prefix=True)
    assert list(rows) == [f"/{prefix}/server/gone".encode()]
    second = serve(etcd.url(prefix))
    until(lambda: "oncekv_sessions 1.0" in second.kv.fetch("GET", "/metrics").body.decode(), what="the count")
