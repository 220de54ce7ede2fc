"""kv.append: the operation for which sending again is a disaster."""

from __future__ import annotations

from oncekv.kv.results import Appended
from oncekv.kv.values import Key, Writable, check_key, check_value
from oncerpc.server.rpc.method import Method, MethodKind, Params
from oncerpc.wire.errors import TooLarge


class Append(Params):
    key: Key
    value: str


def append(rows: Writable, params: Append) -> Appended:
    check_key(params.key)
    row = rows.row(params.key)
    before = row.value if row else ""
    value = before + params.value
    check_value(value)
    return Appended(version=rows.put(params.key, value), offset=len(before))


METHOD = Method(
    "kv.append",
    "Append to a key's value; an absent key counts as empty.",
    MethodKind.WRITE,
    Append,
    Appended,
    append,
    errors=(TooLarge,),
)
