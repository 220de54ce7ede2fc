"""Section 3: what the single-key methods do, and how versions count."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import unique


def test_an_absent_key_reads_as_null(kv):
    """kv.get of an absent key: value null, version 0."""
    assert kv.ok("kv.get", key=unique()) == {"value": None, "version": 0}


@pytest.mark.parametrize(
    ("method", "more", "first", "second", "value"),
    [
        ("kv.put", {"value": "x"}, {"version": 1}, {"version": 2}, "x"),
        ("kv.append", {"value": "xy"}, {"version": 1, "offset": 0}, {"version": 2, "offset": 2}, "xyxy"),
        ("kv.increment", {"by": 5}, {"value": 5, "version": 1}, {"value": 10, "version": 2}, "10"),
        ("kv.increment", {}, {"value": 1, "version": 1}, {"value": 2, "version": 2}, "2"),
    ],
)
def test_a_write_creates_and_then_changes(kv, method, more, first, second, value):
    """The first write creates the key at version 1, the next one changes it to version 2."""
    key = unique()
    assert kv.ok(method, key=key, **more) == first
    assert kv.ok(method, key=key, **more) == second
    assert kv.get(key) == (value, 2)


@pytest.mark.parametrize(
    ("method", "more"), [("kv.put", {"value": "1"}), ("kv.append", {"value": ""}), ("kv.increment", {"by": 0})]
)
def test_a_write_that_changes_nothing_is_a_change(kv, method, more):
    """Every successful write counts one version, also one that leaves the value as it was."""
    key = unique()
    kv.ok("kv.put", key=key, value="1")
    assert kv.ok(method, key=key, **more)["version"] == 2
    assert kv.get(key) == ("1", 2)


def test_an_empty_value_is_a_value(kv):
    """A key with an empty value exists."""
    key = unique()
    kv.ok("kv.append", key=key, value="")
    assert kv.get(key) == ("", 1)


def test_delete_says_whether_it_was_there(kv):
    """kv.delete: true once, then false; the key is absent again."""
    key = unique()
    kv.ok("kv.put", key=key, value="x")
    assert kv.ok("kv.delete", key=key) == {"deleted": True}
    assert kv.get(key) == (None, 0)
    assert kv.ok("kv.delete", key=key) == {"deleted": False}


def test_versions_begin_anew_after_a_delete(kv):
    """`version` counts since the key was created: a deleted key starts again at 1, and with an empty value."""
    key = unique()
    for _ in range(3):
        kv.ok("kv.append", key=key, value="old")
    kv.ok("kv.delete", key=key)
    assert kv.ok("kv.append", key=key, value="new") == {"version": 1, "offset": 0}
    assert kv.get(key) == ("new", 1)


@pytest.mark.parametrize(("method", "more"), [("kv.put", {"value": "y"}), ("kv.delete", {})])
@pytest.mark.parametrize(("writes", "if_version"), [(0, 1), (1, 0), (2, 1), (2, 3)])
def test_another_version_is_refused(kv, method, more, writes, if_version):
    """`if_version` that is not the present version: version_mismatch with the present one, and nothing changes."""
    key = unique()
    for _ in range(writes):
        kv.ok("kv.put", key=key, value="x")
    data = expect(kv.call(method, key=key, if_version=if_version, **more), 22)
    assert data["version"] == writes
    assert kv.get(key) == ("x" if writes else None, writes)


def test_the_present_version_is_accepted(kv):
    """`if_version` equal to the present version lets the write through; 0 means that the key must be absent."""
    key = unique()
    assert kv.ok("kv.put", key=key, value="a", if_version=0) == {"version": 1}
    assert kv.ok("kv.put", key=key, value="b", if_version=1) == {"version": 2}
    assert kv.ok("kv.delete", key=key, if_version=2) == {"deleted": True}
    assert kv.ok("kv.delete", key=key, if_version=0) == {"deleted": False}
    assert kv.ok("kv.put", key=key, value="c", if_version=0) == {"version": 1}


def test_a_version_of_an_earlier_life_does_not_match(kv):
    """After delete and recreation the old version is another one."""
    key = unique()
    for _ in range(2):
        kv.ok("kv.put", key=key, value="x")
    kv.ok("kv.delete", key=key)
    kv.ok("kv.put", key=key, value="y")
    assert expect(kv.call("kv.put", key=key, value="z", if_version=2), 22)["version"] == 1


def test_keys_are_apart(kv):
    """A write touches its own key alone, and names are compared byte by byte."""
    stem = unique()
    keys = [stem, stem + "A", stem + "a", stem + " ", stem + "é", stem + "e\u0301", stem + "\0", stem + "\0\0"]
    for key in keys:
        kv.ok("kv.put", key=key, value=f"value of {key}")
    assert {key: kv.get(key) for key in keys} == {key: (f"value of {key}", 1) for key in keys}
