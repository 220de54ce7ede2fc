"""session.open: a name under which calls get an identity."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from oncerpc.server.rpc.method import INTEGER_MAX, Context, Method, MethodKind, Params
from oncerpc.wire.errors import TooManySessions
from oncerpc.wire.identity import WINDOW
from oncerpc.wire.results import SessionOpened


class Open(Params):
    lease_ms: Annotated[int, Meta(ge=1, le=INTEGER_MAX)] | None = None


def open_session(context: Context, params: Open) -> SessionOpened:
    assert context.group is not None, "session.open runs in the committer"
    session = context.server.sessions.open(context.group, params.lease_ms, context.now_ms)
    return SessionOpened(session=session.name, lease_ms=session.lease_ms, window=WINDOW)


METHOD = Method(
    "session.open",
    "Open a session; its random name is the client's right to call under it.",
    MethodKind.SESSION,
    Open,
    SessionOpened,
    open_session,
    errors=(TooManySessions,),
)
