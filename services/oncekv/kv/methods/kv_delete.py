"""kv.delete: remove a key, if it is at the asked version."""

from __future__ import annotations

from oncekv.kv.errors import VersionMismatch
from oncekv.kv.results import Deleted
from oncekv.kv.values import Key, Version, Writable, check_key, check_version
from oncerpc.server.rpc.method import Method, MethodKind, Params
from oncerpc.wire.errors import TooLarge


class Delete(Params):
    key: Key
    if_version: Version | None = None


def delete(rows: Writable, params: Delete) -> Deleted:
    check_key(params.key)
    check_version(rows, params.key, params.if_version)
    was_there = rows.row(params.key) is not None
    if was_there:
        rows.delete(params.key)
    return Deleted(deleted=was_there)


METHOD = Method(
    "kv.delete",
    "Remove a key; with if_version only if it is at that version.",
    MethodKind.WRITE,
    Delete,
    Deleted,
    delete,
    errors=(VersionMismatch, TooLarge),
)
