"""server.info: which server answers, and which of its lives this is."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from oncerpc.server.rpc.method import Context, Method, MethodKind, Params


class Info(Params):
    pass


class ServerInfo(Struct):
    name: str
    boot: int
    store: str
    delivery: str
    uptime_ms: int
    release: str
    limits: dict[str, int] | UnsetType = UNSET
    """What the store takes in one transaction, where that may be less than a call could ask for."""


def info(context: Context, _params: Info) -> ServerInfo:
    server = context.server
    return ServerInfo(
        name=server.service.name,
        boot=server.boot,
        store=server.store,
        delivery=server.config.delivery,
        uptime_ms=server.uptime_ms(),
        release=server.service.release,
        limits=dict(server.limits) or UNSET,
    )


METHOD = Method("server.info", "The server's name, release and start count.", MethodKind.SERVER, Info, ServerInfo, info)
