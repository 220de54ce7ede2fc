"""kv.list: keys in order, a page at a time."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from oncekv.kv.results import Item, Page
from oncekv.kv.values import Pages
from oncerpc.server.rpc.method import RESULT_BYTES_MAX, Method, MethodKind, Params
from oncerpc.wire.errors import TooLarge

LIMIT_MAX = 1000


class List(Params):
    prefix: str = ""
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 100
    after: str = ""


def list_keys(reader: Pages, params: List) -> Page:
    found = reader.page(params.prefix, params.after, params.limit, RESULT_BYTES_MAX)
    items = [Item(key, row.value, row.version) for key, row in found]
    more = len(items) == params.limit and reader.page(params.prefix, items[-1].key, 1, 2 * RESULT_BYTES_MAX)
    return Page(items=items, next=items[-1].key if more else None)


METHOD = Method("kv.list", "A page of keys in order.", MethodKind.READ, List, Page, list_keys, errors=(TooLarge,))
