"""kv.increment: add to an integer."""

from __future__ import annotations

import re

from oncekv.kv.errors import NotAnInteger
from oncekv.kv.results import Incremented
from oncekv.kv.values import Key, Writable, check_key
from oncerpc.server.rpc.method import INTEGER_MAX, INTEGER_MIN, Integer, Method, MethodKind, Params
from oncerpc.wire.errors import TooLarge

# At most 19 digits that count, so that a value of a million digits costs no million-digit arithmetic.
_INTEGER = re.compile(r"(-?)0*([0-9]{1,19})")


class Increment(Params):
    key: Key
    by: Integer = 1


def increment(rows: Writable, params: Increment) -> Incremented:
    check_key(params.key)
    row = rows.row(params.key)
    value = _within(_integer(row.value) if row else 0) + params.by
    version = rows.put(params.key, str(_within(value)))
    return Incremented(value=value, version=version)


def _integer(text: str) -> int:
    found = _INTEGER.fullmatch(text)
    if not found:
        raise NotAnInteger("the value is not an integer")
    return int(found[1] + found[2])


def _within(value: int) -> int:
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise NotAnInteger("the integer is, or would be, out of 64 bits")
    return value


METHOD = Method(
    "kv.increment",
    "Add to an integer; an absent key counts as 0.",
    MethodKind.WRITE,
    Increment,
    Incremented,
    increment,
    errors=(NotAnInteger, TooLarge),
)
