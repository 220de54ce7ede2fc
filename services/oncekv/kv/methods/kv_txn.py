"""kv.txn: several operations, all or nothing.

Ops are the methods' own, run in order on the call's effect, so each sees those before it; a check or an op that says no
drops the whole effect.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from oncekv.kv.errors import NotAnInteger, VersionMismatch
from oncekv.kv.methods.kv_append import Append, append
from oncekv.kv.methods.kv_delete import Delete, delete
from oncekv.kv.methods.kv_get import Get, get
from oncekv.kv.methods.kv_increment import Increment, increment
from oncekv.kv.methods.kv_put import Put, put
from oncekv.kv.results import Row, TxnDone
from oncekv.kv.values import Key, Version, Writable, check_key, check_version, utf8_length
from oncerpc.server.rpc.method import RESULT_BYTES_MAX, Method, MethodKind, Params
from oncerpc.wire.errors import TooLarge

OPS_MAX = 128


class GetOp(Get, tag_field="op", tag="get"):
    pass


class PutOp(Put, tag_field="op", tag="put"):
    pass


class AppendOp(Append, tag_field="op", tag="append"):
    pass


class IncrementOp(Increment, tag_field="op", tag="increment"):
    pass


class DeleteOp(Delete, tag_field="op", tag="delete"):
    pass


class Check(Struct, forbid_unknown_fields=True, frozen=True):
    key: Key
    version: Version


class Txn(Params, kw_only=True):
    checks: list[Check] = []  # noqa: RUF012 a Struct copies an empty default
    ops: Annotated[list[GetOp | PutOp | AppendOp | IncrementOp | DeleteOp], Meta(max_length=OPS_MAX)]


_RUN: dict[type[Struct], Any] = {
    GetOp: get,
    PutOp: put,
    AppendOp: append,
    IncrementOp: increment,
    DeleteOp: delete,
}


def txn(rows: Writable, params: Txn) -> TxnDone:
    for check in params.checks:
        check_key(check.key)
        check_version(rows, check.key, check.version)
    results: list[Any] = []
    room = RESULT_BYTES_MAX
    for op in params.ops:
        result = _RUN[type(op)](rows, op)
        if isinstance(result, Row) and result.value is not None:
            room -= utf8_length(result.value)
            if room < 0:
                raise TooLarge(f"the result would have over {RESULT_BYTES_MAX} bytes", bytes_max=RESULT_BYTES_MAX)
        results.append(result)
    return TxnDone(results=results)


METHOD = Method(
    "kv.txn",
    "Check versions, then run up to 128 operations: all of them or none.",
    MethodKind.WRITE,
    Txn,
    TxnDone,
    txn,
    errors=(VersionMismatch, NotAnInteger, TooLarge),
    is_read=lambda params: bool(params.ops) and all(type(op) is GetOp for op in params.ops),
    keys=lambda params: tuple(op.key for op in params.ops),
    checks=lambda params: tuple(check.key for check in params.checks),
)
