"""The methods that every service has: about sessions, the server and itself; one file each, found by its place here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

import msgspec

from oncerpc.server.rpc.method import Method

__all__ = ["builtin_methods", "methods_in", "offered", "param_kinds"]


def methods_in(package: ModuleType) -> Mapping[str, Method]:
    """The methods of a folder with one module for each, by name."""
    modules = (f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__))
    return {method.name: method for method in (importlib.import_module(name).METHOD for name in modules)}


def builtin_methods() -> Mapping[str, Method]:
    """Those of this folder."""
    return methods_in(importlib.import_module(__name__))


def offered(service: Mapping[str, Method], *, failpoints: bool) -> Mapping[str, Method]:
    """All that a server offers, in the order of names; the methods of failpoints only where they exist."""
    found = {**builtin_methods(), **service}
    return {name: found[name] for name in sorted(found) if failpoints or not found[name].failpoints_only}


def param_kinds(method: Method) -> dict[str, str]:
    """For a command line: param → "string", or "json" where it is anything else."""
    fields = msgspec.inspect.type_info(method.params).fields  # type: ignore[attr-defined]  # a Struct's info has fields
    return {field.encode_name: "string" if _is_string(field.type) else "json" for field in fields}


def _is_string(shape: msgspec.inspect.Type) -> bool:
    if isinstance(shape, msgspec.inspect.UnionType):
        return any(_is_string(member) for member in shape.types)
    return isinstance(shape, msgspec.inspect.StrType | msgspec.inspect.LiteralType)
