"""debug.failpoints: how often each failpoint has fired; there only with `--failpoints`."""

from __future__ import annotations

from msgspec import Struct

from oncerpc.server.rpc.method import Context, Method, MethodKind, Params


class Failpoints(Params):
    pass


class Fired(Struct):
    failpoints: dict[str, int]


def fired(context: Context, _params: Failpoints) -> Fired:
    assert context.server.failpoints is not None, "offered only where failpoints exist"
    return Fired(context.server.failpoints.fired())


METHOD = Method(
    "debug.failpoints",
    "How often each failpoint has fired.",
    MethodKind.SERVER,
    Failpoints,
    Fired,
    fired,
    failpoints_only=True,
)
