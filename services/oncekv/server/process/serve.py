"""Serving: bind, open the store, start the workers, say that they are ready, drain on SIGTERM.

One worker is this very process, so that its pid is the one to kill, to stop and to pause; where a second core is there,
a process beside it commits (`writer`), and dies with it. More workers are forked (`workers`) and share the address
(SO_REUSEPORT), and the one process commits for all of them; this one then only watches, and who wants to pause such a
server pauses its group. How a worker serves many clients at once is its model's affair (`models`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from oncekv.console import announce
from oncekv.server.config import Config, StartupError
from oncekv.server.engine.storage import open_store
from oncekv.server.http.sockets import Address, reserve
from oncekv.server.process.workers import Companion, supervise
from oncerpc.server.failpoints import Failpoints
from oncerpc.server.records import StoreFailed, StoreRefused

if TYPE_CHECKING:
    from oncekv.server.engine.storage.base import Store
    from oncerpc.server.rpc.components import Components  # imports prometheus_client: `serve` first says how it counts

__all__ = ["serve"]

Channels = Sequence[tuple[socket.socket, socket.socket]]
"""Between each worker and the writer: the worker's end, the writer's end."""

METRICS = "oncekv-metrics-"


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises StartupError before anything is left behind."""
    address, guard = reserve(config)
    store = open_store(config.store_url)
    boot = store.boot()
    store.close()
    failpoints = Failpoints() if config.failpoints else None
    url = f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"
    ready = json.dumps({"event": "ready", "url": url, "pid": os.getpid(), "boot": boot})
    plan = _Plan(config, address, guard, boot, failpoints)
    if config.workers == 1 and config.writer == "thread":
        return plan.work(lambda: announce("oncekv serve", ready))
    _forget_dead(METRICS)
    with tempfile.TemporaryDirectory(prefix=f"{METRICS}{os.getpid()}-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        _load(config)
        channels = [socket.socketpair() for _ in range(config.workers)]
        if config.workers == 1:
            writer = Companion(partial(plan.write, channels))

            def announce_both() -> None:
                if writer.is_ready():
                    announce("oncekv serve", ready)

            return plan.work(announce_both, channels)
        children = [
            partial(plan.write, channels),
            *(partial(plan.work, channels=channels, number=n) for n in range(len(channels))),
        ]
        return supervise(children, ready, [end for pair in channels for end in pair])


def _load(config: Config) -> None:
    """Import once what all processes need: the fork then shares it. The metrics library reads its environment here."""
    from oncekv.server.http.models import load_model
    from oncekv.server.process import writer  # noqa: F401 loaded for the one that will be forked

    load_model(config.model)


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


@dataclass(frozen=True)
class _Plan:
    """What a server's processes need to know, before any of them begins."""

    config: Config
    address: Address
    guard: socket.socket
    boot: int
    failpoints: Failpoints | None

    def work(self, announce: Callable[[], object], channels: Channels = (), number: int = 0) -> int:
        """One worker, from its own connections to the store up to its last reply. With `channels` the writer
        commits.
        """
        # Imported here: with several workers, the metrics library reads its environment when it is first imported.
        from oncekv.server.http.app import KvServer
        from oncekv.server.http.models import load_model

        _keep([pair[0] for pair in channels[number : number + 1]], channels)
        server = KvServer(self._components(), channels[number][0] if channels else None)
        return load_model(self.config.model)(server, self.address, announce)

    def write(self, channels: Channels, announce: Callable[[], object]) -> int:
        """The process that commits for all workers."""
        from oncekv.server.process.writer import serve_workers

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the workers drain first, and need it until then
        self.guard.close()  # the address is free again when those who serve on it are gone
        mine = [pair[1] for pair in channels]
        _keep(mine, channels)
        return serve_workers(self._components(), mine, announce)

    def _components(self) -> Components[Store]:
        from oncekv.server.wiring import make_components

        store = open_store(self.config.store_url)
        try:
            return make_components(self.config, store, self.boot, self.failpoints)
        except (StoreFailed, StoreRefused) as error:
            store.close()
            raise StartupError(f"cannot read the store: {error}; see that its disk is well") from None


def _keep(mine: Sequence[socket.socket], channels: Channels) -> None:
    """Close the ends of the others: an end counts as closed only when nobody holds it."""
    for end in (end for pair in channels for end in pair if end not in mine):
        end.close()
