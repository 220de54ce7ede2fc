"""Server models: who reads, waits and answers when many clients call at once; one file per model.

Each module has `serve(server, address, announce) -> int`: it serves until SIGTERM or SIGINT, calls `announce` when
clients can connect, drains, closes the server, and gives the exit code.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from oncekv.server.http.sockets import Address

if TYPE_CHECKING:
    from oncekv.server.http.app import KvServer

__all__ = ["Serve", "load_model", "models"]

Serve: TypeAlias = "Callable[[KvServer, Address, Callable[[], object]], int]"


def models() -> list[str]:
    """The names that `--model` takes."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load_model(name: str) -> Serve:
    """The model that `--model` names."""
    serve: Serve = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").serve
    return serve
