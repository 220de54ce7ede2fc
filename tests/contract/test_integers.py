"""Section 3: `kv.increment`, and what an integer is: `-?[0-9]+` within 64 bits, signed."""

from __future__ import annotations

import pytest

from tests.support.replies import expect
from tests.support.seed import unique

LEAST, GREATEST = -(2**63), 2**63 - 1


@pytest.mark.parametrize(
    ("value", "by", "total"),
    [
        ("0", 1, 1),
        ("5", -7, -2),
        ("-1", 1, 0),
        ("-0", 0, 0),
        ("007", 1, 8),
        ("-007", 0, -7),
        (str(GREATEST), 0, GREATEST),
        (str(LEAST), 0, LEAST),
        (str(GREATEST - 1), 1, GREATEST),
        (str(LEAST + 1), -1, LEAST),
        (str(LEAST), GREATEST, -1),
        (str(GREATEST), LEAST, -1),
        ("0" * 40 + "5", 1, 6),
        ("0" * 5000, 1, 1),
    ],
    ids=lambda value: str(value)[:24],
)
def test_integers_are_added_and_stored_in_decimal(kv, value, by, total):
    """The sum is returned as an integer and stored in plain decimal."""
    key = unique()
    kv.ok("kv.put", key=key, value=value)
    assert kv.ok("kv.increment", key=key, by=by) == {"value": total, "version": 2}
    assert kv.get(key) == (str(total), 2)


@pytest.mark.parametrize("by", [LEAST, -1, 0, 1, GREATEST])
def test_absent_counts_as_zero(kv, by):
    """An absent key is created with the step."""
    key = unique()
    assert kv.ok("kv.increment", key=key, by=by) == {"value": by, "version": 1}
    assert kv.get(key) == (str(by), 1)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-",
        "+5",
        " 5",
        "5 ",
        "5\n",
        "1.0",
        "1e3",
        "0x10",
        "1_000",
        "--1",
        "5-",
        "x",
        "٣",
        "\uff15",
        "²",
        "5\0",
        "\0",
        "null",
        "true",
        str(GREATEST + 1),
        str(LEAST - 1),
        "1" * 5000,
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_other_values_are_not_integers(kv, value):
    """kv.increment of another value: not_an_integer, and the key stays as it was."""
    key = unique()
    kv.ok("kv.put", key=key, value=value)
    expect(kv.call("kv.increment", key=key), 23)
    assert kv.get(key) == (value, 1)


@pytest.mark.parametrize(
    ("value", "by"), [(GREATEST, 1), (GREATEST, GREATEST), (LEAST, -1), (LEAST, LEAST), (1, GREATEST)]
)
def test_a_sum_out_of_64_bits_is_refused(kv, value, by):
    """A sum out of 64 bits: not_an_integer, nothing wraps, nothing changes."""
    key = unique()
    kv.ok("kv.put", key=key, value=str(value))
    expect(kv.call("kv.increment", key=key, by=by), 23)
    assert kv.get(key) == (str(value), 1)


@pytest.mark.parametrize("by", ["1", 1.5, True, None, [], {}, ""], ids=repr)
def test_the_step_must_be_an_integer(kv, by):
    """A step of another type is invalid_params, which names it."""
    key = unique()
    answer = kv.call("kv.increment", key=key, by=by)
    expect(answer, -32602)
    assert "by" in str(answer.error)
    assert kv.get(key) == (None, 0)


@pytest.mark.parametrize("by", [GREATEST + 1, LEAST - 1, 2**64, 2**200])
def test_a_step_out_of_64_bits_is_refused(kv, by):
    """A step out of 64 bits is refused (as a parameter or as an integer), and nothing changes."""
    key = unique()
    answer = kv.call("kv.increment", key=key, by=by)
    assert answer.code in (-32602, 23)
    expect(answer, answer.code)
    assert kv.get(key) == (None, 0)
