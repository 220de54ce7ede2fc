"""Section 3: any UTF-8 is kept as it came, and offsets count characters."""

from __future__ import annotations

import json

import pytest

from tests.support.caller import request
from tests.support.seed import randomness, unique

TEXTS = ["\0", "a\0b", "\0\0", "é", "e\u0301", "😀", "\U0010ffff", "\ufeff", "\uffff", "\ud7ff\ue000", "\r\n\t",
         "\x7f\x1b", '"\\/', "'; --", "\u2028\u2029", "שלום", "\u200d👨\u200d👩"]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_text_comes_back_as_it_was(kv, text):
    """Keys and values keep every character, NUL and astral ones too, without normalisation."""
    key = unique() + text
    kv.ok("kv.put", key=key, value=text)
    assert kv.get(key) == (text, 1)
    assert kv.ok("kv.list", prefix=key)["items"] == [{"key": key, "value": text, "version": 1}]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_offsets_count_characters(kv, text):
    """kv.append returns the offset in characters (code points) at which it appended."""
    key = unique()
    assert kv.ok("kv.append", key=key, value=text) == {"version": 1, "offset": 0}
    assert kv.ok("kv.append", key=key, value=text + "x") == {"version": 2, "offset": len(text)}
    assert kv.ok("kv.append", key=key, value="y") == {"version": 3, "offset": 2 * len(text) + 1}
    assert kv.get(key) == (text + text + "xy", 3)


def test_escapes_and_raw_utf8_are_the_same(kv):
    r"""A character written as \u escapes and the same in raw UTF-8 are one key."""
    key = unique() + "é😀"
    for ascii_only in (True, False):
        body = json.dumps(request("kv.append", [key, "ü"], id=1), ensure_ascii=ascii_only).encode()
        assert kv.post(body).answer.ok
    assert kv.get(key) == ("üü", 2)


def test_random_text_is_kept(kv):
    """Random characters of all planes come back as they were, offsets right."""
    draw = randomness("text")
    key, whole = unique(), ""
    for version in range(1, 41):
        bounds = draw.choice([(0, 0x80), (0x80, 0x800), (0xE000, 0x10000), (0x10000, 0x110000)])
        piece = "".join(chr(draw.randrange(*bounds)) for _ in range(draw.randrange(20)))
        assert kv.ok("kv.append", key=key, value=piece) == {"version": version, "offset": len(whole)}
        whole += piece
    assert kv.get(key) == (whole, 40)
