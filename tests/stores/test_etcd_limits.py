"""etcd's own limits: what no transaction can hold is refused for good, and everything else is cut into portions."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.caller import request
from tests.support.etcd import EtcdCluster
from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.stores import one_etcd
from tests.support.waiting import at_once

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def node(serve_for_module):
    """A server that this file's tests share."""
    return serve_for_module(one_etcd().url())


def test_server_info_says_the_limits(node):
    """Of one transaction: operations and bytes."""
    assert node.kv.ok("server.info")["limits"] == {"txn_ops": 128, "request_bytes": 1_556_480}


def test_a_transaction_of_too_many_keys(node):
    """Definite, recorded, and nothing of it runs; the largest that fits does."""
    session, prefix = node.kv.open(), unique()

    def ops(count):
        return [{"op": "put", "key": f"{prefix}-{n}", "value": "x"} for n in range(count)]

    data = expect(session.do(1, "kv.txn", ops=ops(128)), 24)
    assert data["definite"]
    assert node.kv.ok("kv.list", prefix=prefix)["items"] == []
    again = session.do(1, "kv.txn", ops=ops(128))
    assert (again.code, again.replayed) == (24, True)
    assert len(session.do(2, "kv.txn", ops=ops(125)).ok["results"]) == 125
    assert len(node.kv.ok("kv.list", prefix=prefix, limit=1000)["items"]) == 125


def test_a_transaction_of_too_many_bytes(node):
    """Two values that are each within their limit, and together over that of a request."""
    session, key = node.kv.open(), unique()
    ops = [{"op": "put", "key": f"{key}{n}", "value": "x" * (MIB - 10)} for n in range(2)]
    expect(session.do(1, "kv.txn", ops=ops), 24)
    assert node.kv.get(f"{key}0") == (None, 0)
    assert session.do(2, "kv.txn", ops=ops[:1]).ok
    assert node.kv.get(f"{key}0") == ("x" * (MIB - 10), 1)


def test_a_result_that_no_record_can_hold(node):
    """A write whose reply is larger than a request: refused, and its write is not there either."""
    session, key = node.kv.open(), unique()
    for n in range(2):
        node.kv.ok("kv.put", key=f"{key}{n}", value="x" * (MIB - 10))
    ops = [*({"op": "get", "key": f"{key}{n}"} for n in range(2)), {"op": "put", "key": key, "value": "y"}]
    expect(session.do(1, "kv.txn", ops=ops), 24)
    assert node.kv.get(key) == (None, 0)


def test_large_values_at_one_moment(node):
    """Many that go into no common transaction: each is committed, in portions, at the first attempt of its client."""
    sessions, prefix = [node.kv.open() for _ in range(8)], unique()
    value = "x" * (MIB - 100)

    def put(n):
        return sessions[n].do(1, "kv.put", key=f"{prefix}{n}", value=value)

    answers = at_once([partial(put, n) for n in range(8)], 60)
    assert [answer.bare for answer in answers] == [{"result": {"version": 1}}] * 8
    assert [node.kv.get(f"{prefix}{n}") for n in range(8)] == [(value, 1)] * 8


def test_a_batch_of_many_sessions_and_keys(node):
    """More keys at once than a transaction takes operations: all of them, each once."""
    prefix = unique()
    session = node.kv.open()
    calls = [
        request(
            "kv.append", {"key": f"{prefix}{n:03}", "value": "x", "_meta": {"session": session.name, "seq": n}}, id=n
        )
        for n in range(1, 301)
    ]
    answers = node.kv.send(calls).answers
    assert [answer.bare for answer in answers] == [{"result": {"version": 1, "offset": 0}}] * 300
    assert len(node.kv.ok("kv.list", prefix=prefix, limit=1000)["items"]) == 300
    assert all(answer.replayed for answer in node.kv.send(calls).answers)


def test_large_replies_stand_beside_their_session(etcd, serve):
    """A record of a large reply is replayed, and gone with its acknowledgement."""
    prefix = etcd.new_prefix()
    node = serve(etcd.url(prefix))
    session = node.kv.open()
    node.kv.ok("kv.put", key="large", value="x" * 5000)
    ops = [{"op": "get", "key": "large"}, {"op": "append", "key": "large", "value": "y"}]
    first = session.do(1, "kv.txn", ops=ops)
    assert len(etcd.get(f"/{prefix}/record/", is_prefix=True)) == 1
    assert session.do(1, "kv.txn", ops=ops).bare == first.bare
    session.ack(1)
    assert etcd.get(f"/{prefix}/record/", is_prefix=True) == {}
    session.do(2, "kv.txn", ops=ops)
    session.close()
    assert etcd.get(f"/{prefix}/record/", is_prefix=True) == {}


def test_a_cluster_that_takes_more_is_used(serve):
    """The limit is asked for at the start."""
    one_etcd()  # skips where there is none
    with EtcdCluster(words=["--max-txn-ops", "1024"]) as cluster:
        node = serve(cluster.url())
        assert node.kv.ok("server.info")["limits"]["txn_ops"] == 1024
        ops = [{"op": "put", "key": f"k{n}", "value": "x"} for n in range(128)]
        assert len(node.kv.ok("kv.txn", ops=ops)["results"]) == 128
