"""Serving: bind, open the store, start the workers, say that they are ready, drain on SIGTERM.

One worker is this very process, so that its pid is the one to kill or to stop; more are forked (`workers`) and share
the address (SO_REUSEPORT) and the store. How a worker serves many clients at once is its model's affair (`models`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from oncekv.server.config import Config
from oncekv.server.failpoints import Failpoints
from oncekv.server.listening import Address, reserve
from oncekv.server.storage import open_store
from oncekv.server.workers import supervise

__all__ = ["serve"]

METRICS = "oncekv-metrics-"


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises StartupError before anything is left behind."""
    address, _guard = reserve(config)
    store = open_store(config.store_url)
    boot = store.boot()
    store.close()
    failpoints = Failpoints() if config.failpoints else None
    url = f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"
    ready = json.dumps({"event": "ready", "url": url, "pid": os.getpid(), "boot": boot})
    if config.workers == 1:
        return _work(config, address, boot, failpoints, lambda: print(ready, flush=True))
    _forget_dead(METRICS)
    with tempfile.TemporaryDirectory(prefix=f"{METRICS}{os.getpid()}-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        return supervise(config.workers, ready, lambda announce: _work(config, address, boot, failpoints, announce))


def _forget_dead(prefix: str) -> None:
    """Remove what servers that were killed could not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}[0-9]*-*"):
        owner = int(folder.name.removeprefix(prefix).partition("-")[0])
        try:
            os.kill(owner, 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            pass  # another user's, and alive


def _work(
    config: Config, address: Address, boot: int, failpoints: Failpoints | None, announce: Callable[[], object]
) -> int:
    """One worker, from its own connections to the store up to its last reply."""
    # Imported here: with several workers, the metrics library reads its environment when it is first imported.
    from oncekv.server.app import Node
    from oncekv.server.models import load_model

    node = Node(config, open_store(config.store_url), boot, failpoints)
    return load_model(config.model)(node, address, announce)
