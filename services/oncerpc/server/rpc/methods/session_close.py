"""session.close: the client will not ask again; its records can go."""

from __future__ import annotations

from oncerpc.server.rpc.method import Context, Method, MethodKind, Params
from oncerpc.wire.errors import SessionUnknown
from oncerpc.wire.results import Closed


class Close(Params):
    pass


def close(context: Context, _params: Close) -> Closed:
    assert context.group is not None, "session.close runs in the committer"
    assert context.meta.session is not None, "dispatch asks for the session"
    context.group.end_session(context.server.sessions.live(context.group, context.meta.session, context.now_ms))
    return Closed(closed=True)


METHOD = Method(
    "session.close",
    "Close the session; later calls under it are refused.",
    MethodKind.SESSION,
    Close,
    Closed,
    close,
    errors=(SessionUnknown,),
    needs_session=True,
)
