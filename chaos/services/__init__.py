"""Services: what the scenarios are run against; one file each, found by its place in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from chaos.services.base import Service

__all__ = ["services"]


@cache
def services() -> dict[str, Service]:
    """Every service by its name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found: list[Service] = [module.SERVICE for module in modules if hasattr(module, "SERVICE")]
    return {service.name: service for service in found}
