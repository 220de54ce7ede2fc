"""debug.failpoint: arm a failpoint; there only with `--failpoints`."""

from __future__ import annotations

from msgspec import Struct

from oncerpc.server.failpoints import Arming
from oncerpc.server.rpc.method import Context, Method, MethodKind


class Armed(Struct):
    armed: bool


def arm(context: Context, params: Arming) -> Armed:
    assert context.server.failpoints is not None, "offered only where failpoints exist"
    context.server.failpoints.arm(params)
    return Armed(params.count > 0)


METHOD = Method(
    "debug.failpoint",
    "Arm a failpoint for the next count calls that match.",
    MethodKind.SERVER,
    Arming,
    Armed,
    arm,
    failpoints_only=True,
)
