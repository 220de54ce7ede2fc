"""session.renew: keep a session, and acknowledge, without a call."""

from __future__ import annotations

from oncerpc.server.rpc.method import Context, Method, MethodKind, Params
from oncerpc.wire.errors import SessionUnknown
from oncerpc.wire.results import Renewed


class Renew(Params):
    pass


def renew(context: Context, _params: Renew) -> Renewed:
    assert context.group is not None, "session.renew runs in the committer"
    assert context.meta.session is not None, "dispatch asks for the session"
    session = context.server.sessions.live(context.group, context.meta.session, context.now_ms)
    context.group.renew(session, context.now_ms + session.lease_ms)
    return Renewed(lease_ms=session.lease_ms)


METHOD = Method(
    "session.renew",
    "Renew the lease; _meta.acked may acknowledge.",
    MethodKind.SESSION,
    Renew,
    Renewed,
    renew,
    errors=(SessionUnknown,),
    needs_session=True,
)
