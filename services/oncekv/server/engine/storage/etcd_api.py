"""etcd's words (step 10): the requests and responses of its KV service, as its JSON gateway spells them. Pure.

Bytes travel as base64 and 64-bit integers as strings; msgspec does both by the types below. What is at its default is
left out by etcd, so every field of a response has one. Names are those of etcd's `rpc.proto`.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

__all__ = [
    "Compare",
    "DeleteRange",
    "Header",
    "KeyValue",
    "Op",
    "Put",
    "Range",
    "RangeResponse",
    "ResponseOp",
    "Txn",
    "TxnResponse",
    "absent",
    "decode_range",
    "decode_txn",
    "delete",
    "delete_range",
    "encode",
    "get",
    "not_changed_since",
    "prefix_end",
    "put",
    "unchanged",
]


class Compare(Struct):
    """One condition of a transaction, with `range_end` for every key of a range. `mod_revision` 0: it is absent."""

    key: bytes
    mod_revision: int
    result: str = "EQUAL"
    range_end: bytes = b""
    target: str = "MOD"


class Range(Struct, omit_defaults=True):
    """Read one key, or with `range_end` all from `key` up to it, in the order of bytes. `revision` 0: the last."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    keys_only: bool = False


class Put(Struct):
    key: bytes
    value: bytes


class DeleteRange(Struct, omit_defaults=True):
    key: bytes
    range_end: bytes = b""


class Op(Struct, omit_defaults=True):
    """One operation of a transaction: exactly one of these."""

    request_put: Put | None = None
    request_range: Range | None = None
    request_delete_range: DeleteRange | None = None


class Txn(Struct, omit_defaults=True):
    """If all of `compare` holds then `success`, else `failure`: at once, in one revision."""

    compare: list[Compare] = []
    success: list[Op] = []
    failure: list[Op] = []


class Header(Struct):
    revision: int = 0


class KeyValue(Struct):
    key: bytes
    value: bytes = b""
    mod_revision: int = 0


class RangeResponse(Struct):
    """`more`: there are keys beyond the limit. `count`: of all in the range, without the limit."""

    header: Header = msgspec.field(default_factory=Header)
    kvs: list[KeyValue] = []
    more: bool = False
    count: int = 0


class ResponseOp(Struct):
    response_range: RangeResponse | None = None


class TxnResponse(Struct):
    header: Header = msgspec.field(default_factory=Header)
    succeeded: bool = False
    responses: list[ResponseOp] = []

    def kvs(self, index: int) -> list[KeyValue]:
        """What the range at this place found."""
        found = self.responses[index].response_range
        return found.kvs if found else []


encode = msgspec.json.encode
decode_txn = msgspec.json.Decoder(TxnResponse, strict=False).decode
decode_range = msgspec.json.Decoder(RangeResponse, strict=False).decode


def unchanged(key: bytes, mod_revision: int) -> Compare:
    """The key is as it was read; 0: it is absent."""
    return Compare(key, mod_revision)


def absent(key: bytes) -> Compare:
    """Nobody has made the key, or somebody has deleted it."""
    return Compare(key, 0)


def get(key: bytes, revision: int = 0) -> Op:
    """Read one key."""
    return Op(request_range=Range(key, revision=revision))


def put(key: bytes, value: bytes) -> Op:
    """Write one key, whatever it is now."""
    return Op(request_put=Put(key, value))


def delete(key: bytes) -> Op:
    """Remove one key, if it is there."""
    return Op(request_delete_range=DeleteRange(key))


def delete_range(begin: bytes, end: bytes) -> Op:
    """Remove all keys from `begin` up to `end`."""
    return Op(request_delete_range=DeleteRange(begin, end))


def not_changed_since(revision: int, begin: bytes, end: bytes) -> Compare:
    """No key of the range was put after this revision."""
    return Compare(begin, revision + 1, "LESS", end)


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with it; `prefix` must have a byte below 255."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1])
