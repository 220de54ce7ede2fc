"""Runtimes: where the servers of a scenario run; one file per runtime, chosen by its name."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from chaos.runtime.base import Runtime, Serving

__all__ = ["open_runtime", "runtimes"]


def runtimes() -> list[str]:
    """The names that `--runtime` takes."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if hasattr(importlib.import_module(f"{__name__}.{name}"), "open_runtime"))


def open_runtime(name: str, folder: Path, serving: Serving = Serving()) -> Runtime:  # noqa: B008 it is frozen
    """The runtime of that name; its logs go to `folder`. Raises ToxiproxyMissing or ToxiproxyFailed."""
    runtime: Runtime = importlib.import_module(f"{__name__}.{name}").open_runtime(folder, serving)
    return runtime
