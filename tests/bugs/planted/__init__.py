"""The planted bugs, one file each, found by their place in this folder."""

from __future__ import annotations

import importlib
import pkgutil

from tests.bugs.base import Bug

__all__ = ["bugs", "load"]


def bugs() -> dict[str, Bug]:
    """Every bug by name, in the order of their numbers."""
    found = [load(module.name.replace("_", "-")) for module in pkgutil.iter_modules(__path__)]
    return {bug.name: bug for bug in sorted(found, key=lambda bug: bug.number)}


def load(name: str) -> Bug:
    """The bug of that name; its file alone is read. Raises LookupError."""
    try:
        bug: Bug = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").BUG
    except ModuleNotFoundError:
        raise LookupError(f"there is no bug {name!r}") from None
    return bug
