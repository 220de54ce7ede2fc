"""Section 3: kv.list gives every key of a prefix once, in the order of their UTF-8 bytes, page by page."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import randomness, unique

TAILS = ["", "\0", "\0a", " ", "%", "A", "Z", "[", "_", "a", "a\0", "a\0b", "aa", "ab", "b", "z", "\x7f", "\x80", "é",
         "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufeff", "\uffff", "\U00010000",
         "😀", "\U0010ffff", "\U0010ffff\U0010ffff"]  # fmt: skip


@pytest.fixture(scope="module")
def stem(kv):
    """A prefix with one key for each tail, written in random order."""
    stem = unique("list")
    tails = TAILS.copy()
    randomness("list").shuffle(tails)
    for tail in tails:
        kv.ok("kv.put", key=stem + tail, value=tail)
    return stem


def pages(kv, **params):
    """All pages, one after another; `next` of one is `after` of the next."""
    found, after = [], dict[str, str]()
    for _ in range(100):
        page = kv.ok("kv.list", **params, **after)
        found.append(page["items"])
        if page["next"] is None:
            return found
        after = {"after": page["next"]}
    raise AssertionError("the pages have no end")


def test_the_order_is_that_of_utf8(kv, stem):
    """Keys come in the order of their UTF-8 bytes: astral characters after U+FFFF, NUL first."""
    expected = sorted((stem + tail for tail in TAILS), key=str.encode)
    items = kv.ok("kv.list", prefix=stem)["items"]
    assert [item["key"] for item in items] == expected
    assert items[0] == {"key": stem, "value": "", "version": 1}


@pytest.mark.parametrize("limit", [1, 2, 7, len(TAILS) - 1, len(TAILS), len(TAILS) + 1])
def test_pages_join_to_the_whole(kv, stem, limit):
    """Page by page, every key comes exactly once, and no page is longer than `limit`."""
    found = pages(kv, prefix=stem, limit=limit)
    assert max(map(len, found)) <= limit
    assert [item for page in found for item in page] == kv.ok("kv.list", prefix=stem)["items"]


@pytest.mark.parametrize("tail", TAILS, ids=ascii)
def test_a_prefix_is_taken_literally(kv, stem, tail):
    """A prefix matches the keys that begin with it, itself included, and nothing else: no wildcard, no case folding."""
    found = [item["key"] for item in kv.ok("kv.list", prefix=stem + tail)["items"]]
    expected = [stem + other for other in TAILS if other.startswith(tail)]
    assert found == sorted(expected, key=str.encode)


@pytest.mark.parametrize("tail", [*TAILS, "not there", "c"], ids=ascii)
def test_after_is_exclusive(kv, stem, tail):
    """`after` gives the keys behind it, whether it exists or not."""
    found = [item["key"] for item in kv.ok("kv.list", prefix=stem, after=stem + tail)["items"]]
    expected = [stem + other for other in TAILS if other.encode() > tail.encode()]
    assert found == sorted(expected, key=str.encode)


def test_a_prefix_of_the_last_character_of_all(kv):
    """A prefix that no string follows (U+10FFFF) finds its keys."""
    key = "\U0010ffff" + unique()
    kv.ok("kv.put", key=key, value="x")
    assert key in [item["key"] for item in kv.ok("kv.list", prefix="\U0010ffff", limit=1000)["items"]]


def test_limit_is_100_by_default_and_1000_at_most(kv):
    """Without a limit a page has 100 keys; 1,000 is the most."""
    stem = unique()
    for batch in range(10):
        ops = [{"op": "put", "key": f"{stem}{batch * 100 + n:04}", "value": ""} for n in range(100)]
        kv.ok("kv.txn", checks=[], ops=ops)
    kv.ok("kv.put", key=f"{stem}1000", value="")
    page = kv.ok("kv.list", prefix=stem)
    assert len(page["items"]) == 100
    assert kv.ok("kv.list", prefix=stem, after=page["next"])["items"][0]["key"] == f"{stem}0100"
    assert len(kv.ok("kv.list", prefix=stem, limit=1000)["items"]) == 1000


@pytest.mark.parametrize("limit", [1001, 10**9, "10", 1.5, True])
def test_a_limit_over_1000_or_of_another_type_is_refused(kv, limit):
    """A limit over 1,000, or one that is no integer, is invalid_params, which names it."""
    answer = kv.call("kv.list", limit=limit)
    expect(answer, -32602)
    assert "limit" in str(answer.error)


def test_a_negative_limit_lists_nothing(kv, stem):
    """A negative limit is no way around the upper one."""
    answer = kv.call("kv.list", prefix=stem, limit=-1)
    assert answer.code == -32602 or answer.ok["items"] == []


def test_deleted_keys_are_not_listed(kv):
    """kv.list shows what is there: values and versions of now, no deleted keys."""
    stem = unique()
    for tail in "abc":
        kv.ok("kv.put", key=stem + tail, value="old")
    kv.ok("kv.delete", key=stem + "b")
    kv.ok("kv.put", key=stem + "c", value="new")
    assert kv.ok("kv.list", prefix=stem) == {
        "items": [{"key": stem + "a", "value": "old", "version": 1}, {"key": stem + "c", "value": "new", "version": 2}],
        "next": None,
    }
