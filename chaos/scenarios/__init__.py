"""Scenarios: one file each; what it teaches, the fault, the promise. Found by their place in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from chaos.scenarios.base import Scenario

__all__ = ["scenarios"]


@cache
def scenarios() -> dict[str, Scenario]:
    """Every scenario by name, in the order in which a lecture tells them."""
    modules = (module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")
    found = [importlib.import_module(f"{__name__}.{name}").SCENARIO for name in modules]
    return {scenario.name: scenario for scenario in sorted(found, key=lambda scenario: scenario.order)}
