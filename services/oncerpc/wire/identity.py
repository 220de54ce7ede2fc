"""Who is calling, and which call this is: the metadata that makes an attempt recognisable.

An identity is `(session, seq)` in `params._meta`, or an `Idempotency-Key` header; it is the same on every attempt of
a call. The rules that need no store are checked here; those that do (window, watermark, lease) by the delivery.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from msgspec import Meta as Bound
from msgspec import Struct, ValidationError, convert

from oncerpc.wire.errors import InvalidParams
from oncerpc.wire.structs import build_structs

__all__ = [
    "ATTEMPT_HEADER",
    "KEY_LENGTH_MAX",
    "NO_META",
    "SEQ_MAX",
    "TRACE_HEADER",
    "WINDOW",
    "CallMeta",
    "is_idempotency_key",
    "read_meta",
    "shortened",
]

WINDOW = 1024
"""How far `seq` may lead the acknowledged ones: the bound on records that one session can keep."""

ATTEMPT_HEADER = "Oncerpc-Attempt"
"""Of a request's calls the how manieth attempt this is, from the second on; for logs and traces alone."""
TRACE_HEADER = "Traceparent"
"""Which span this attempt belongs to (W3C Trace Context); for traces alone."""

SEQ_MAX = 2**63 - 1
KEY_LENGTH_MAX = 255
_VISIBLE_ASCII = re.compile(rf"[\x21-\x7e]{{1,{KEY_LENGTH_MAX}}}")


class CallMeta(Struct, frozen=True):
    """`params._meta` of a request. Unknown members are passed over: the field keeps `_meta` open for others.

    session: whoever holds it is the client. seq: 1, 2, 3 …, one per call. acked: the client holds the replies to
    all calls up to this one. timeout_ms: how much longer the client will wait.
    """

    session: str | None = None
    seq: Annotated[int, Bound(ge=1, le=SEQ_MAX)] | None = None
    acked: Annotated[int, Bound(ge=0, le=SEQ_MAX)] = 0
    timeout_ms: Annotated[int, Bound(ge=0, le=SEQ_MAX)] | None = None


NO_META = CallMeta()
build_structs([CallMeta])


def read_meta(value: Any) -> CallMeta:
    """The metadata of one request. Raises InvalidParams with the path of the bad member."""
    if not isinstance(value, dict):
        raise InvalidParams("_meta must be an object", path="$.params._meta")
    if None in value.values():
        for name in CallMeta.__struct_fields__:
            if value.get(name, name) is None:
                raise InvalidParams(f"{name} must not be null", path=f"$.params._meta.{name}")
    try:
        meta = convert(value, CallMeta)
    except ValidationError as error:
        raise InvalidParams.at("$.params._meta", error) from None
    if meta.session is None:
        for name in ("seq", "acked"):
            if name in value:
                raise InvalidParams(f"{name} needs its session", path=f"$.params._meta.{name}")
    if meta.seq is not None and meta.acked >= meta.seq:
        raise InvalidParams("acked must be below seq", path="$.params._meta.acked")
    return meta


def shortened(secret: str) -> str:
    """What logs and traces have of a session's name or a key: the same on both sides, and no way back.

    Eight digits of its SHA-256: whoever holds a session's name is the client, so no part of it is shown.
    """
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def is_idempotency_key(key: str) -> bool:
    """1 to 255 visible ASCII characters, no space."""
    return _VISIBLE_ASCII.fullmatch(key) is not None
