"""Storage engines (step 10): one file per engine, chosen by the scheme of the store's URL (`sqlite:///…`). An engine
offers `check_location` and `open_store`; its driver is an extra of the package's that has the engine's name.

A file that only an engine needs begins with the engine's name and an underscore.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

from oncekv.server.config import UsageError
from oncekv.server.engine.storage.base import Store

__all__ = ["check_url", "engine_of", "open_store"]

_NO_ENGINES = ("base", "bulk", "staged")
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*")


def check_url(url: str) -> None:
    """Raises UsageError when `url` names no store, whatever there is at its place."""
    engine, location = _engine(url)
    engine.check_location(location)


def open_store(url: str) -> Store:
    """The store behind `url`, made if absent. Raises StartupError with the cause and the way out."""
    engine, location = _engine(url)
    store: Store = engine.open_store(location)
    return store


def engine_of(url: str, option: str = "--store") -> tuple[str, str]:
    """The engine's name, and what stands behind `://`. Raises UsageError: no URL, no such engine, or not its driver.

    What is said of a URL never shows more than its scheme: behind that may stand a password. `option`: who gave it.
    """
    scheme, separator, location = url.partition("://")
    engines = sorted(m.name for m in pkgutil.iter_modules(__path__) if "_" not in m.name and m.name not in _NO_ENGINES)
    forms = " or ".join(f"{engine}://…" for engine in engines)
    if not separator or not _SCHEME.fullmatch(scheme):
        raise UsageError(f"{option} is not a URL; a store is given as {forms}")
    if scheme.lower() not in engines:
        raise UsageError(f"there is no storage engine {scheme!r}; a store is given as {forms}")
    _load(scheme.lower())
    return scheme.lower(), location


def _engine(url: str) -> tuple[ModuleType, str]:
    name, location = engine_of(url)
    return _load(name), location


def _load(name: str) -> ModuleType:
    """The engine's module. Raises UsageError where the driver that it stands on is not installed."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "oncekv", "oncerpc"):
            raise
        raise UsageError(f"{name}://… needs the package {missing}: pip install 'oncekv[{name}]'") from None
