"""Section 4: the shape of `params._meta`; a call whose metadata is wrong is invalid_params, and nothing runs."""

from __future__ import annotations

import json

import pytest

from tests.support.caller import request
from tests.support.replies import expect
from tests.support.seed import unique

pytestmark = pytest.mark.wire

BAD = {
    "seq-missing": {},
    "seq-zero": {"seq": 0},
    "seq-negative": {"seq": -1},
    "seq-string": {"seq": "1"},
    "seq-fraction": {"seq": 1.5},
    "seq-bool": {"seq": True},
    "seq-null": {"seq": None},
    "acked-negative": {"seq": 1, "acked": -1},
    "acked-string": {"seq": 1, "acked": "0"},
    "acked-equal": {"seq": 5, "acked": 5},
    "acked-beyond": {"seq": 5, "acked": 6},
    "timeout-string": {"seq": 1, "timeout_ms": "1"},
    "timeout-list": {"seq": 1, "timeout_ms": []},
}


@pytest.mark.parametrize("method", ["kv.put", "kv.append"])
@pytest.mark.parametrize("meta", BAD.values(), ids=BAD)
def test_bad_metadata_is_refused(kv, method, meta):
    """Metadata of a wrong shape (a write without seq, acked ≥ seq, other types) is invalid_params; nothing runs."""
    key = unique()
    expect(kv.open().call(method, meta=meta, key=key, value="x"), -32602)
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize(
    "meta",
    [
        {"seq": 1},
        {"seq": 1, "acked": 0},
        {"session": None, "seq": 1},
        {"session": 7, "seq": 1},
        {"session": [], "seq": 1},
    ],
    ids=json.dumps,
)
def test_a_seq_needs_a_session(kv, meta):
    """`seq` without `session`, or with one that is no string, is invalid_params; nothing runs."""
    key = unique()
    expect(kv.call("kv.put", key=key, value="x", _meta=meta), -32602)
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize("meta", [[], "s", 1, True, ["session"]], ids=repr)
@pytest.mark.parametrize("method", ["kv.put", "kv.get"])
def test_metadata_is_an_object(kv, method, meta):
    """`_meta` of another type is invalid_params."""
    key = unique()
    expect(kv.call(method, key=key, **({"value": "x"} if method == "kv.put" else {}), _meta=meta), -32602)
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize("op", ["put", "append", "increment", "delete"])
def test_a_transaction_with_one_write_is_a_write(kv, op):
    """A kv.txn with one op that writes needs a seq in a session; gets beside it do not change that."""
    key = unique()
    write = {"op": op, "key": key, **({"value": "x"} if op in ("put", "append") else {})}
    expect(kv.open().call("kv.txn", checks=[], ops=[{"op": "get", "key": key}, write]), -32602)
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("kv.get", {"key": "k"}),
        ("kv.list", {"prefix": "k"}),
        ("kv.txn", {"checks": [], "ops": [{"op": "get", "key": "k"}] * 2}),
    ],
)
def test_reads_take_a_session_without_a_seq(kv, method, params):
    """Reads, a kv.txn of gets alone among them, may name their session, and are then answered as ever."""
    assert kv.open().call(method, **params).bare == kv.call(method, **params).bare


@pytest.mark.parametrize("method", ["session.renew", "session.close"])
@pytest.mark.parametrize("params", [{}, {"_meta": {}}, {"_meta": {"acked": 0}}], ids=json.dumps)
def test_renew_and_close_need_a_session(kv, method, params):
    """session.renew and session.close name their session in `_meta`; without it they are invalid_params."""
    expect(kv.send(request(method, params, id=1)).answer, -32602)


@pytest.mark.parametrize("method", ["session.renew", "session.close"])
@pytest.mark.parametrize("more", [{"meta": {"seq": 1}}, {"bogus": 1}], ids=json.dumps)
def test_renew_and_close_take_nothing_else(kv, method, more):
    """session.renew and session.close have no seq and no params; the session goes on after such a refusal."""
    session = kv.open()
    expect(session.call(method, **more), -32602)
    assert session.do(1, "kv.put", key=unique(), value="x").ok


def test_acked_left_out_counts_as_zero(kv):
    """A call without `acked` and one with acked 0 are the same: neither acknowledges anything."""
    session, key = kv.open(), unique()
    first = session.call("kv.append", meta={"seq": 1}, key=key, value="x")
    again = session.call("kv.append", meta={"seq": 1, "acked": 0}, key=key, value="x")
    assert (again.replayed, again.bare) == (True, first.bare)


def test_a_refused_acknowledgement_acknowledges_nothing(kv):
    """A call that is refused for `acked ≥ seq` leaves the records of the calls below."""
    session, key = kv.open(), unique()
    first = session.do(1, "kv.append", key=key, value="x")
    expect(session.call("kv.append", meta={"seq": 2, "acked": 2}, key=key, value="y"), -32602)
    assert session.do(1, "kv.append", key=key, value="x").bare == first.bare
    assert kv.get(key) == ("x", 1)
