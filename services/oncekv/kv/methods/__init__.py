"""The key/value methods (step 9): one file each, found by its place in this folder; no other file names it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache

from oncerpc.server.rpc.method import Method, Service
from oncerpc.server.rpc.methods import methods_in, offered, param_kinds

__all__ = ["all_methods", "kv_service", "params_of"]


def kv_service(release: str) -> Service:
    """The service, for whoever serves it."""
    return Service(
        "oncekv", "OnceKV", release, methods_in(importlib.import_module(__name__)), {"license": {"name": "MIT"}}
    )


@cache
def all_methods() -> Mapping[str, Method]:
    """Every method of a key/value server by name, in the order of names."""
    return offered(kv_service("").methods, failpoints=True)


def params_of(name: str) -> dict[str, str] | None:
    """For a command line: param → "string", or "json" where it is anything else; None for an unknown method."""
    method = all_methods().get(name)
    return None if method is None else param_kinds(method)
