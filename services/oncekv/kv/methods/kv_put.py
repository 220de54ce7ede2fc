"""kv.put: set a key, if it is at the asked version."""

from __future__ import annotations

from oncekv.kv.errors import VersionMismatch
from oncekv.kv.results import Written
from oncekv.kv.values import Key, Version, Writable, check_key, check_value, check_version
from oncerpc.server.rpc.method import Method, MethodKind, Params
from oncerpc.wire.errors import TooLarge


class Put(Params):
    key: Key
    value: str
    if_version: Version | None = None


def put(rows: Writable, params: Put) -> Written:
    check_key(params.key)
    check_value(params.value)
    check_version(rows, params.key, params.if_version)
    return Written(version=rows.put(params.key, params.value))


METHOD = Method(
    "kv.put",
    "Set a key; with if_version only if it is at that version (0: absent).",
    MethodKind.WRITE,
    Put,
    Written,
    put,
    errors=(VersionMismatch, TooLarge),
)
