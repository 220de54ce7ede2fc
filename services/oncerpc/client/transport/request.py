"""A call as it stands in a body: its params become JSON once, when it begins; each attempt adds what changes.

    {"jsonrpc":"2.0","id":9,"method":"kv.append","params":{"key":"k","value":"x","_meta":{"session":"…","seq":7,"acked":6}}}
                     ▲                                    └──── once ─────────┘ └─── each attempt: acked moves on ───┘

Whatever the caller does to the params afterwards, every attempt carries what was passed, as the server compares it; and
the outbox keeps the same bytes.

Place on the way: stub (1) encodes the params, retry (2) makes the request. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["encode_params", "encode_request"]

_encode = msgspec.json.Encoder().encode


def encode_params(params: Mapping[str, Any]) -> bytes:
    """The params as a JSON object. Raises TypeError or ValueError for what is not JSON."""
    return _encode(params)


def encode_request(request_id: int, method: str, params: bytes, meta: Mapping[str, Any]) -> bytes:
    """One attempt's request. `params` are as `encode_params` made them; an empty `meta` is left out."""
    if meta:
        comma = b"," if params != b"{}" else b""
        params = b'%b%b"_meta":%b}' % (params[:-1], comma, _encode(meta))
    return b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b}' % (request_id, _encode(method), params)
