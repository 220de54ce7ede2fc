"""kv.delete: remove a key, if it is at the asked version."""

from __future__ import annotations

from oncekv.server.engine.method import Key, Kind, Method, Params, Version, Writable, check_key, check_version
from oncekv.wire.calls import Deleted
from oncekv.wire.errors import TooLarge, VersionMismatch


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
    Kind.WRITE,
    Delete,
    Deleted,
    delete,
    errors=(VersionMismatch, TooLarge),
)
