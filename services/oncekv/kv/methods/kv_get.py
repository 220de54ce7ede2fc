"""kv.get: the value of a key."""

from __future__ import annotations

from oncekv.server.engine.method import Key, Kind, Method, Params, Rows, check_key
from oncekv.wire import calls
from oncekv.wire.errors import TooLarge


class Get(Params):
    key: Key


def get(rows: Rows, params: Get) -> calls.Row:
    check_key(params.key)
    row = rows.row(params.key)
    return calls.Row(value=row.value, version=row.version) if row else calls.Row(value=None, version=0)


METHOD = Method("kv.get", "The value of a key.", Kind.READ, Get, calls.Row, get, errors=(TooLarge,))
