"""Section 3: kv.txn is all or nothing, and its ops see the ones before them."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import unique
from tests.support.waiting import at_once


def op(name, key, **more):
    """One op."""
    return {"op": name, "key": key, **more}


def run(kv, *ops, checks=()):
    """A transaction; its answer."""
    return kv.call("kv.txn", checks=list(checks), ops=list(ops))


def test_each_result_is_the_methods_own(kv):
    """Every op brings the result that its method would bring, in order."""
    key = unique()
    answer = run(kv, op("get", key), op("put", key, value="4"), op("append", key, value="2"), op("increment", key),
                 op("increment", key, by=7), op("get", key), op("delete", key), op("delete", key), op("get", key),
                 op("put", key, value="x", if_version=0), op("put", key, value="y", if_version=1))  # fmt: skip
    assert answer.ok == {"results": [
        {"value": None, "version": 0}, {"version": 1}, {"version": 2, "offset": 1}, {"value": 43, "version": 3},
        {"value": 50, "version": 4}, {"value": "50", "version": 4}, {"deleted": True}, {"deleted": False},
        {"value": None, "version": 0}, {"version": 1}, {"version": 2},
    ]}  # fmt: skip
    assert kv.get(key) == ("y", 2)


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (lambda key: op("put", key, value="z", if_version=7), 22),
        (lambda key: op("delete", key, if_version=7), 22),
        (lambda key: op("increment", key), 23),
        (lambda key: op("put", "k" * 1025, value="z"), 24),
    ],
    ids=["put-mismatch", "delete-mismatch", "not-an-integer", "too-large"],
)
@pytest.mark.parametrize("place", [0, 3])
def test_one_failing_op_undoes_all(kv, last, code, place):
    """When one op fails, wherever it stands, the call fails with its error, and no op has left anything."""
    keys = [unique() for _ in range(3)]
    kv.ok("kv.put", key=keys[0], value="word")
    ops = [op("put", keys[1], value="x"), op("append", keys[2], value="x"), op("delete", unique())]
    ops.insert(place, last(keys[0]))
    expect(run(kv, *ops), code)
    assert [kv.get(key) for key in keys] == [("word", 1), (None, 0), (None, 0)]


def test_checks_that_hold_let_the_ops_run(kv):
    """Checks compare versions; 0 means absent, and a checked key need not be among the ops."""
    there, absent, target = unique(), unique(), unique()
    kv.ok("kv.put", key=there, value="x")
    answer = run(kv, op("put", target, value="y"), checks=[{"key": there, "version": 1}, {"key": absent, "version": 0}])
    assert answer.ok == {"results": [{"version": 1}]}


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_check_that_fails_stops_all(kv, version):
    """A failing check is version_mismatch with the present version, and no op runs."""
    checked, target = unique(), unique()
    for _ in range(2):
        kv.ok("kv.put", key=checked, value="x")
    data = expect(run(kv, op("put", target, value="y"), checks=[{"key": checked, "version": version}]), 22)
    assert data["version"] == 2
    assert kv.get(target) == (None, 0)


def test_checks_hold_for_reads_too(kv):
    """A transaction of gets alone is refused by a failing check as well."""
    key = unique()
    expect(run(kv, op("get", key), checks=[{"key": key, "version": 1}]), 22)


def test_the_most_ops(kv):
    """128 ops are taken; 129 are invalid_params, and none of them runs."""
    key = unique()
    assert len(run(kv, *[op("append", key, value="x")] * 128).ok["results"]) == 128
    expect(run(kv, *[op("append", key, value="x")] * 129), -32602)
    assert kv.get(key) == ("x" * 128, 128)


@pytest.mark.parametrize(
    "bad",
    [
        {"op": "list", "key": "k"},
        {"op": "txn", "key": "k"},
        {"op": "", "key": "k"},
        {"key": "k"},
        {"op": "get"},
        {"op": "put", "key": "k"},
        {"op": "put", "key": "k", "value": 1},
        {"op": "increment", "key": "k", "by": "1"},
        {"op": "get", "key": None},
        "get",
        None,
        1,
        [],
    ],
    ids=repr,
)
def test_a_malformed_op_is_refused_before_any_runs(kv, bad):
    """A malformed op is invalid_params, and the good ones before it do not run."""
    key = unique()
    expect(run(kv, op("put", key, value="x"), bad), -32602)
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize(
    "bad", [{"key": "k"}, {"version": 1}, {"key": 1, "version": 1}, {"key": "k", "version": "1"}, "k", None], ids=repr
)
def test_a_malformed_check_is_refused(kv, bad):
    """A malformed check is invalid_params, and nothing runs."""
    key = unique()
    expect(run(kv, op("put", key, value="x"), checks=[bad]), -32602)
    assert kv.get(key) == (None, 0)


def test_nobody_sees_half_a_transaction(kv):
    """Readers see both halves of a transaction or neither, while writers are at work."""
    left, right = unique("pair"), unique("pair")

    def write():
        return [run(kv, op("increment", left), op("increment", right)).ok for _ in range(60)]

    def read():
        seen = [run(kv, op("get", left), op("get", right)).ok["results"] for _ in range(60)]
        assert all(one["value"] == other["value"] for one, other in seen)
        return seen

    at_once([write, write, read, read])
    assert kv.get(left)[0] == kv.get(right)[0] == "120"


def test_a_transaction_can_swap_only_what_nobody_changed(kv):
    """Read, then write under checks: of many concurrent ones, each version is taken by exactly one."""
    key = unique()
    kv.ok("kv.put", key=key, value="0")

    def swap():
        won = 0
        while won < 10:
            value, version = kv.get(key)
            answer = run(kv, op("put", key, value=str(int(value) + 1)), checks=[{"key": key, "version": version}])
            if answer.error is None:
                won += 1
            else:
                expect(answer, 22)
        return won

    at_once([swap] * 4)
    assert kv.get(key) == ("40", 41)
