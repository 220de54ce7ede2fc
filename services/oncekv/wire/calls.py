"""What the calls answer, and when two calls are the same one.

The result shapes are shared by the server, which encodes them, and the typed stub, which decodes them; the params of
a method stand beside its meaning in `server/methods/`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oncekv.wire.structs import build_structs

__all__ = [
    "FINGERPRINT_BYTES",
    "Appended",
    "Closed",
    "Deleted",
    "Incremented",
    "Item",
    "Page",
    "Renewed",
    "ReplayMark",
    "Row",
    "SessionOpened",
    "TxnDone",
    "Written",
    "fingerprint",
]


class ReplayMark(Struct):
    """`_meta` of a result that was replayed from the dedup record."""

    replayed: bool = False


class Result(Struct, kw_only=True):
    """A call's result object; `meta` is there only on a replay."""

    meta: ReplayMark | UnsetType = msgspec.field(default=UNSET, name="_meta")


class Row(Result):
    """kv.get: the value, or None and version 0 where the key is absent."""

    value: str | None
    version: int


class Written(Result):
    """kv.put: the key's version after the write."""

    version: int


class Appended(Result):
    """kv.append: `offset` counts characters: where the appended string begins."""

    version: int
    offset: int


class Incremented(Result):
    """kv.increment: the integer after the step."""

    value: int
    version: int


class Deleted(Result):
    """kv.delete: whether the key was there."""

    deleted: bool


class TxnDone(Result):
    """kv.txn: one result object per op, in order."""

    results: list[Any]


class Item(Struct):
    """One key of a page."""

    key: str
    value: str
    version: int


class Page(Result):
    """kv.list: keys in order; `next` is the `after` of the next page, None on the last."""

    items: list[Item]
    next: str | None


class SessionOpened(Result):
    """session.open: `window` is how far seq may lead acked."""

    session: str
    lease_ms: int
    window: int


class Renewed(Result):
    """session.renew: how long the lease now runs, in milliseconds."""

    lease_ms: int


class Closed(Result):
    """session.close."""

    closed: bool


FINGERPRINT_BYTES = 16
_encode = msgspec.json.Encoder().encode
build_structs([ReplayMark, Item, *Result.__subclasses__()])


def fingerprint(method: str, params: Struct) -> bytes:
    """16 bytes that are equal exactly when method and params are (BLAKE2b, RFC 7693).

    `params` is the validated struct: members stand in its order, and what is at its default is left out, so neither the
    order of members nor a default that was spelled out makes another call of it.
    """
    return hashlib.blake2b(_encode((method, params)), digest_size=FINGERPRINT_BYTES).digest()
