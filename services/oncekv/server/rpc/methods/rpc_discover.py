"""rpc.discover: the OpenRPC document, generated from the registries of methods and errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from oncekv.server.engine.method import Context, Kind, Method, Params
from oncekv.wire.errors import REGISTRY, ApplicationError, Refused, RpcError

OPENRPC_VERSION = "1.3.2"
_REF = "#/components/schemas/{name}"


class Discover(Params):
    pass


def discover(context: Context, _params: Discover) -> dict[str, Any]:
    cache = list(context.server.methods.values())
    shapes = [shape for method in cache for shape in (method.params, method.result)]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": "OnceKV", "version": context.server.release, "license": {"name": "MIT"}},
        "methods": [
            _method(method, components[method.params.__name__], schemas[2 * index + 1])
            for index, method in enumerate(cache)
        ],
        "components": {
            "schemas": components,
            "errors": {error.name: _error(error) for error in REGISTRY.values()},
        },
    }


def _method(method: Method, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    required = params.get("required", [])
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "either",
        "params": [
            {"name": name, "required": name in required, "schema": schema}
            for name, schema in params.get("properties", {}).items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [{"$ref": f"#/components/errors/{error.name}"} for error in _errors(method)],
    }


def _errors(method: Method) -> Sequence[type[RpcError]]:
    """The method's own errors, and the refusals that can meet any call."""
    refusals = [error for error in REGISTRY.values() if issubclass(error, Refused)]
    others = [error for error in REGISTRY.values() if not issubclass(error, Refused | ApplicationError)]
    return [*method.errors, *(error for error in (*refusals, *others) if error not in method.errors)]


def _error(error: type[RpcError]) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.when,
        "data": {"name": error.name, "definite": error.definite},
    }


METHOD = Method("rpc.discover", "The OpenRPC document of this server.", Kind.SERVER, Discover, dict[str, Any], discover)
