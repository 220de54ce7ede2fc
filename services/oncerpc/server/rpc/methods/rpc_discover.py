"""rpc.discover: the OpenRPC document, generated from the registries of methods and errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from oncerpc.server.rpc.method import Context, Declared, Method, MethodKind, Params
from oncerpc.wire.errors import PROTOCOL_ERRORS, ApplicationError, Refused

OPENRPC_VERSION = "1.3.2"
_REF = "#/components/schemas/{name}"


class Discover(Params):
    pass


def discover(context: Context, _params: Discover) -> dict[str, Any]:
    cache = list(context.server.methods.values())
    shapes = [shape for method in cache for shape in (method.params, method.result)]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    service = context.server.service
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": service.title, "version": service.release, **service.info},
        "methods": [
            _method(method, components[method.params.__name__], schemas[2 * index + 1])
            for index, method in enumerate(cache)
        ],
        "components": {
            "schemas": components,
            "errors": {error.name: _error(error) for error in _known(context.server.methods.values())},
        },
    }


def _method(method: Method, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    required = params.get("required", [])
    return {
        "name": method.name,
        "summary": method.summary,
        "tags": [{"name": method.kind.name.lower()}],
        "paramStructure": "either",
        "params": [
            {"name": name, "required": name in required, "schema": schema}
            for name, schema in params.get("properties", {}).items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [{"$ref": f"#/components/errors/{error.name}"} for error in _errors(method)],
    }


def _known(methods: Iterable[Method]) -> Sequence[Declared]:
    """The protocol's errors and those of the methods, by code."""
    known: dict[int, Declared] = {error.code: error for error in PROTOCOL_ERRORS}
    known.update({error.code: error for method in methods for error in method.errors})
    return [known[code] for code in sorted(known)]


def _errors(method: Method) -> Sequence[Declared]:
    """The method's own errors, and the refusals that can meet any call."""
    refusals = [error for error in PROTOCOL_ERRORS if issubclass(error, Refused)]
    others = [error for error in PROTOCOL_ERRORS if not issubclass(error, Refused | ApplicationError)]
    own = {error.code for error in method.errors}
    return [*method.errors, *(error for error in (*refusals, *others) if error.code not in own)]


def _error(error: Declared) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.when,
        "data": {"name": error.name, "definite": error.definite},
    }


METHOD = Method(
    "rpc.discover", "The OpenRPC document of this server.", MethodKind.SERVER, Discover, dict[str, Any], discover
)
