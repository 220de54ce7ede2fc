"""What operations mean: one file per model, chosen by its name."""

from __future__ import annotations

import importlib
import pkgutil

from chaos.judging.checker.models.base import Model

__all__ = ["models"]


def models() -> dict[str, Model]:
    """Every model by its name."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {module.MODEL.name: module.MODEL for module in modules if hasattr(module, "MODEL")}
