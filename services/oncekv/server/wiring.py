"""The wiring behind HTTP: what a configuration names, put together for one process of a key/value server."""

from __future__ import annotations

from typing import TypeAlias

import oncekv
from oncekv.kv.methods import kv_service
from oncekv.server.config import Config
from oncekv.server.engine.storage.base import Store
from oncerpc.server.failpoints import Failpoints
from oncerpc.server.rpc.components import Components
from oncerpc.server.rpc.wiring import assemble

__all__ = ["KvComponents", "make_components"]

KvComponents: TypeAlias = Components[Store]


def make_components(config: Config, store: Store, boot: int, failpoints: Failpoints | None) -> KvComponents:
    """Put together what `config` names."""
    return assemble(config, kv_service(oncekv.__version__), store, boot, failpoints)
