"""The planted bugs, one file each, found by their place in this folder."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

from tests.bugs.base import Bug

__all__ = ["bugs", "load"]


def bugs() -> dict[str, Bug]:
    """Every bug by name, in the order of their numbers."""
    found = [load(module.name.replace("_", "-")) for module in pkgutil.iter_modules(__path__)]
    return {bug.name: bug for bug in sorted(found, key=lambda bug: bug.number)}


def load(name: str) -> Bug:
    """The bug of that name; its file alone is read. Raises LookupError."""
    path = f"{__name__}.{name.replace('-', '_')}"
    if importlib.util.find_spec(path) is None:
        raise LookupError(f"there is no bug {name!r}")
    bug: Bug = importlib.import_module(path).BUG
    return bug
