"""The variants: one file each, with the reason why people do it so. Found by their place in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import NamedTuple

__all__ = ["OURS", "Variant", "variants"]


class Variant(NamedTuple):
    """A way to make a transfer safe to send again, and the application that has it, as gunicorn is told."""

    title: str
    application: str


OURS = Variant("**oncerpc**: effect and record in one transaction", "bank.app:app")


def variants() -> list[Variant]:
    """Those of this folder in their order, and ours last."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        path = f"{__name__}.{module.name}"
        if hasattr(loaded := importlib.import_module(path), "TITLE"):
            found.append((loaded.ORDER, Variant(loaded.TITLE, f"{path}:make()")))
    return [variant for _, variant in sorted(found)] + [OURS]
