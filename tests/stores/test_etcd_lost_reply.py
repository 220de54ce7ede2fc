"""A transaction whose reply is lost: its outcome is found out, in both directions and while it is still on its way."""

from __future__ import annotations

import base64

import pytest

from chaos.net.holding_link import HoldingLink
from tests.support.caller import LOST
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import in_background, until


@pytest.fixture
def link(etcd):
    """On the way to the cluster's one member."""
    with HoldingLink(etcd.members[0].port) as link:
        yield link


def put_of(value: str, version: int = 1) -> bytes:
    """What stands in the transaction that puts this value, and in no request that reads."""
    packed = b"%d\n%b" % (version, value.encode())
    return base64.b64encode(packed[: len(packed) // 3 * 3])


def test_a_lost_transaction_runs_again(etcd, link, serve):
    """It never reached etcd: the lookup makes sure of that, and the call then runs, once."""
    node = serve(etcd.url(hosts=[f"127.0.0.1:{link.port}", etcd.members[0].address]))
    session = node.kv.open()
    link.take(put_of("lost-request"), "lost")
    answer = session.do(1, "kv.append", key="k", value="lost-request")
    assert link.taken.is_set()
    assert (answer.ok, answer.replayed) == ({"version": 1, "offset": 0}, False)
    assert node.kv.get("k") == ("lost-request", 1)


def test_a_committed_transaction_whose_reply_was_lost_does_not_run_again(etcd, link, serve):
    """etcd has committed it and nobody heard: the lookup finds that, and the reply is the first one's."""
    node = serve(etcd.url(hosts=[f"127.0.0.1:{link.port}", etcd.members[0].address]))
    session = node.kv.open()
    link.take(put_of("lost-reply"), "answered to nobody")
    answer = session.do(1, "kv.append", key="k", value="lost-reply")
    assert b'"succeeded":true' in link.answer
    assert (answer.ok, answer.replayed) == ({"version": 1, "offset": 0}, False)
    assert session.do(1, "kv.append", key="k", value="lost-reply").replayed
    assert node.kv.get("k") == ("lost-reply", 1)


def test_a_transaction_that_comes_late_finds_that_it_was_looked_up(etcd, link, serve):
    """It is held back, its call runs again and is answered; when it comes after all, it does nothing."""
    node = serve(etcd.url(hosts=[f"127.0.0.1:{link.port}", etcd.members[0].address]))
    session = node.kv.open()
    link.take(put_of("held-back"), "held back")
    answer = session.do(1, "kv.append", key="k", value="held-back")
    assert (answer.ok, answer.replayed) == ({"version": 1, "offset": 0}, False)
    late = link.release()
    assert b'"succeeded":true' not in late, late
    assert b"200 OK" in late
    assert node.kv.get("k") == ("held-back", 1)


def test_a_late_transaction_without_an_identity_does_nothing_either(etcd, link, serve):
    """The same where no record would have kept it from running twice."""
    node = serve(etcd.url(hosts=[f"127.0.0.1:{link.port}", etcd.members[0].address]))
    link.take(put_of("anonymous"), "held back")
    assert node.kv.ok("kv.append", key="k", value="anonymous") == {"version": 1, "offset": 0}
    assert b'"succeeded":true' not in link.release()
    assert node.kv.get("k") == ("anonymous", 1)


def test_a_committed_transaction_without_an_identity_does_not_run_again(etcd, link, serve):
    """Committed, unheard, and no record tells: only the lookup keeps it from a second effect."""
    node = serve(etcd.url(hosts=[f"127.0.0.1:{link.port}", etcd.members[0].address]))
    link.take(put_of("unheard"), "answered to nobody")
    assert node.kv.ok("kv.append", key="k", value="unheard") == {"version": 1, "offset": 0}
    assert b'"succeeded":true' in link.answer
    assert node.kv.get("k") == ("unheard", 1)


def test_a_late_transaction_of_a_call_that_was_refused_meanwhile_does_nothing(etcd, link, serve):
    """The call's time is over when it runs again, so it is refused for good. Nothing follows that is in the way of the
    first transaction but the lookup itself; and the clock, where it is saved just then, hence several rounds.
    """
    with HoldingLink(etcd.members[0].port) as other_link:
        node = serve(etcd.url(hosts=[f"127.0.0.1:{link.port}", f"127.0.0.1:{other_link.port}"]))
        rounds, patience_ms = 0, 100
        while rounds < 10:
            value = unique()
            for way in (link, other_link):  # whichever way it takes
                way.take(put_of(value), "held back", silent_s=patience_ms * 1.5 / 1000)
            expect(node.kv.call("kv.append", key=value, value=value, _meta={"timeout_ms": patience_ms}), 1005)
            held = [way for way in (link, other_link) if way.taken.is_set()]
            if held:
                rounds += 1
                assert b'"succeeded":true' not in held[0].release()
            else:  # on a busy machine its time was over before it came to the store
                patience_ms *= 2
                assert patience_ms < 10_000
            assert node.kv.get(value) == (None, 0)


def test_nobody_is_told_anything_while_the_outcome_is_open(etcd, link, serve):
    """Committed, and then etcd is out of reach: the caller hears that nobody can tell; later its retry is a replay."""
    node = serve(etcd.url(hosts=[f"127.0.0.1:{link.port}"]))
    session = node.kv.open()
    link.take(put_of("out-of-reach"), "answered to nobody")
    call = in_background(lambda: session.do(1, "kv.append", key="k", value="out-of-reach"))
    link.is_down = True
    assert link.taken.wait(10)
    link.cut()
    expect(call.result(60), -32603)
    expect(session.do(1, "kv.append", key="k", value="out-of-reach"), 11, 503)
    link.is_down = False
    answer = until(lambda: _answered(session), what="a replay")
    assert answer.replayed
    assert answer.bare == {"result": {"version": 1, "offset": 0}}
    assert node.kv.get("k") == ("out-of-reach", 1)


def _answered(session):
    try:
        answer = session.do(1, "kv.append", key="k", value="out-of-reach")
    except LOST:
        return None
    return answer if answer.error is None else None
