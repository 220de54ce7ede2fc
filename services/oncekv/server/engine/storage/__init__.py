"""Storage engines (10): one file per engine, chosen by the scheme of the store's URL (`sqlite:///…`).

A file that only an engine needs begins with the engine's name and an underscore.
"""

from __future__ import annotations

import importlib
import pkgutil

from oncekv.server.config import StartupError
from oncekv.server.engine.storage.base import Store

__all__ = ["open_store"]

_NO_ENGINES = ("base", "bulk", "known", "slots", "staged")


def open_store(url: str) -> Store:
    """The store behind `url`, made if absent. Raises StartupError with the cause and the way out."""
    scheme, separator, location = url.partition("://")
    engines = sorted(m.name for m in pkgutil.iter_modules(__path__) if "_" not in m.name and m.name not in _NO_ENGINES)
    if not separator or scheme not in engines:
        raise StartupError(f"no storage engine for {url!r}; a store is given as {' or '.join(engines)}://…")
    engine = importlib.import_module(f"{__name__}.{scheme}")
    store: Store = engine.open_store(location)
    return store
