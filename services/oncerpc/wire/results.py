"""What the calls about sessions answer, and what every result may say of itself.

Shared by the server, which encodes them, and the client, which decodes them; those of a service stand with the service.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oncerpc.wire.structs import build_structs

__all__ = ["Closed", "Renewed", "ReplayMark", "Result", "SessionOpened"]


class ReplayMark(Struct):
    """`_meta` of a result that was replayed from the dedup record."""

    replayed: bool = False


class Result(Struct, kw_only=True):
    """A call's result object; `meta` is there only on a replay."""

    meta: ReplayMark | UnsetType = msgspec.field(default=UNSET, name="_meta")


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


build_structs([ReplayMark, Result, SessionOpened, Renewed, Closed])
