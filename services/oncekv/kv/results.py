"""What the key/value calls answer: shared by the server, which encodes them, and the typed client, which decodes
them.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from oncerpc.wire.results import Result
from oncerpc.wire.structs import build_structs

__all__ = ["Appended", "Deleted", "Incremented", "Item", "Page", "Row", "TxnDone", "Written"]


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


build_structs([Item, Row, Written, Appended, Incremented, Deleted, TxnDone, Page])
