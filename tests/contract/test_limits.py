"""Section 3: keys of 1 to 1,024 bytes, values up to 1 MiB, results up to 4 MiB; all in UTF-8 bytes."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import unique

MIB = 2**20


def long_key(size, filler="k"):
    """A unique key of exactly `size` bytes."""
    stem = unique("")
    return (
        stem + "x" * ((size - len(stem)) % len(filler.encode())) + filler * ((size - len(stem)) // len(filler.encode()))
    )


def calls_with(key):
    """One call of every method that takes a key."""
    return [
        ("kv.get", {"key": key}), ("kv.put", {"key": key, "value": "x"}), ("kv.append", {"key": key, "value": "x"}),
        ("kv.increment", {"key": key}), ("kv.delete", {"key": key}),
        ("kv.txn", {"checks": [], "ops": [{"op": "put", "key": key, "value": "x"}]}),
        ("kv.txn", {"checks": [], "ops": [{"op": "get", "key": key}]}),
        ("kv.txn", {"checks": [{"key": key, "version": 0}], "ops": [{"op": "put", "key": unique(), "value": "x"}]}),
    ]  # fmt: skip


@pytest.mark.parametrize("filler", ["k", "é", "€", "😀"])
def test_the_longest_key(kv, filler):
    """A key of 1,024 bytes is taken, whatever its characters."""
    key = long_key(1024, filler)
    assert len(key.encode()) == 1024
    assert kv.ok("kv.put", key=key, value="x") == {"version": 1}
    assert kv.get(key) == ("x", 1)
    assert kv.ok("kv.list", prefix=key)["items"] == [{"key": key, "value": "x", "version": 1}]


@pytest.mark.parametrize("call", range(8))
@pytest.mark.parametrize("filler", ["k", "é"])
def test_a_longer_key_is_too_large(kv, call, filler):
    """A key of 1,025 bytes is too_large in every method, counted in bytes and not in characters."""
    key = long_key(1025, filler)
    assert len(key.encode()) == 1025
    method, params = calls_with(key)[call]
    expect(kv.call(method, **params), 24)


@pytest.mark.parametrize("call", range(8))
def test_an_empty_key_is_refused(kv, call):
    """A key has at least one byte; an empty one is no key at all."""
    method, params = calls_with("")[call]
    answer = kv.call(method, **params)
    expect(answer, -32602)
    assert "key" in str(answer.error)


def test_the_shortest_key(kv):
    """A key of one byte is taken."""
    kv.ok("kv.put", key="!", value="x")
    assert kv.get("!")[0] == "x"


@pytest.mark.parametrize("filler", ["v", "é", "😀"])
def test_the_longest_value(kv, filler):
    """A value of 1 MiB is taken and comes back; one character more is too_large, and nothing is stored."""
    key, value = unique(), filler * (MIB // len(filler.encode()))
    assert kv.ok("kv.put", key=key, value=value) == {"version": 1}
    assert kv.get(key) == (value, 1)
    expect(kv.call("kv.put", key=key, value=value + "v"), 24)
    assert kv.get(key) == (value, 1)


def test_append_up_to_the_limit(kv):
    """kv.append fills a value up to 1 MiB and is too_large beyond; the value then stays as it was."""
    key, value = unique(), "é" * (MIB // 2 - 1)
    kv.ok("kv.put", key=key, value=value)
    assert kv.ok("kv.append", key=key, value="é") == {"version": 2, "offset": MIB // 2 - 1}
    expect(kv.call("kv.append", key=key, value="x"), 24)
    assert kv.get(key) == (value + "é", 2)
    assert kv.ok("kv.append", key=key, value="") == {"version": 3, "offset": MIB // 2}


def test_an_op_with_too_large_a_value_undoes_the_transaction(kv):
    """too_large in one op of a kv.txn leaves none of the others behind."""
    first, second = unique(), unique()
    kv.ok("kv.put", key=second, value="x" * MIB)
    ops = [{"op": "put", "key": first, "value": "x"}, {"op": "append", "key": second, "value": "x"}]
    expect(kv.call("kv.txn", checks=[], ops=ops), 24)
    assert kv.get(first) == (None, 0)
    assert kv.get(second)[1] == 1


def test_results_have_a_limit(kv):
    """A result over 4 MiB is too_large for kv.list and kv.txn; one below it comes whole."""
    stem = unique()
    for number in range(5):
        kv.ok("kv.put", key=f"{stem}{number}", value="x" * MIB)
    gets = [{"op": "get", "key": f"{stem}{number}"} for number in range(5)]
    assert len(kv.ok("kv.list", prefix=stem, limit=3)["items"]) == 3
    assert len(kv.ok("kv.txn", checks=[], ops=gets[:3])["results"]) == 3
    expect(kv.call("kv.list", prefix=stem), 24)
    expect(kv.call("kv.txn", checks=[], ops=gets), 24)


def test_a_write_with_too_large_a_result_changes_nothing(kv):
    """too_large is definite: a kv.txn whose result is over the limit leaves no effect behind."""
    big, small = unique(), unique()
    kv.ok("kv.put", key=big, value="x" * MIB)
    ops = [{"op": "put", "key": small, "value": "x"}, *[{"op": "get", "key": big}] * 5]
    expect(kv.call("kv.txn", checks=[], ops=ops), 24)
    assert kv.get(small) == (None, 0)
