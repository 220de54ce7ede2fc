"""The methods: one file each, found by its place here or in the folder of the service; no other file names it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import ModuleType

import msgspec

from oncekv.server.engine.method import Method

__all__ = ["all_methods", "methods", "params_of"]

SERVICE = "oncekv.kv.methods"
"""The folder of the service that these calls are for. By name: what is here knows nothing of it."""


@cache
def all_methods() -> Mapping[str, Method]:
    """Every method by name, in the order of names."""
    modules = (
        f"{package.__name__}.{module.name}"
        for package in _packages()
        for module in pkgutil.iter_modules(package.__path__)
    )
    found = [importlib.import_module(name).METHOD for name in modules]
    return {method.name: method for method in sorted(found, key=lambda method: method.name)}


def _packages() -> list[ModuleType]:
    return [importlib.import_module(name) for name in (__name__, SERVICE)]


def methods(*, failpoints: bool) -> Mapping[str, Method]:
    """The methods that a server offers; those of failpoints only where they exist."""
    return {name: method for name, method in all_methods().items() if failpoints or not method.failpoints_only}


def params_of(name: str) -> dict[str, str] | None:
    """For a command line: param → "string", or "json" where it is anything else; None for an unknown method."""
    method = all_methods().get(name)
    if method is None:
        return None
    fields = msgspec.inspect.type_info(method.params).fields  # type: ignore[attr-defined]  # a Struct's info has fields
    return {field.encode_name: "string" if _is_string(field.type) else "json" for field in fields}


def _is_string(shape: msgspec.inspect.Type) -> bool:
    if isinstance(shape, msgspec.inspect.UnionType):
        return any(_is_string(member) for member in shape.types)
    return isinstance(shape, msgspec.inspect.StrType | msgspec.inspect.LiteralType)
