"""Deliveries (step 8): the dedup gate in front of every call that has an identity; one file per delivery."""

from __future__ import annotations

import importlib
import pkgutil

from oncerpc.server.config import Config
from oncerpc.server.dedup.base import DedupGate
from oncerpc.server.sessions import Sessions

__all__ = ["deliveries", "make_gate"]


def deliveries() -> list[str]:
    """The names that `--delivery` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def make_gate(config: Config, sessions: Sessions) -> DedupGate:
    """The delivery that the config names."""
    module = importlib.import_module(f"{__name__}.{config.delivery}")
    delivery: DedupGate = module.make(config, sessions)
    return delivery
