"""kv.get: the value of a key."""

from __future__ import annotations

from oncekv.kv import results
from oncekv.kv.values import Key, Rows, check_key
from oncerpc.server.rpc.method import Method, MethodKind, Params
from oncerpc.wire.errors import TooLarge


class Get(Params):
    key: Key


def get(rows: Rows, params: Get) -> results.Row:
    check_key(params.key)
    row = rows.row(params.key)
    return results.Row(value=row.value, version=row.version) if row else results.Row(value=None, version=0)


METHOD = Method("kv.get", "The value of a key.", MethodKind.READ, Get, results.Row, get, errors=(TooLarge,))
