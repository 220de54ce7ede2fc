"""Serving: bind, open the store, start the workers, say that they are ready, drain on SIGTERM.

One worker is this very process, so that its pid is the one to kill or to stop; more are forked (`workers`) and share
the address (SO_REUSEPORT) and the store.

The HTTP server is granian with threads, run inside this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.server.mt import MTServer

from oncekv.server.config import Config, StartupError
from oncekv.server.drain import Drain
from oncekv.server.failpoints import Failpoints
from oncekv.server.storage import open_store
from oncekv.server.workers import supervise

__all__ = ["serve"]

ADDRESSES_MAX = 5
CONNECTIONS_MAX = 16_384
METRICS = "oncekv-metrics-"
READY_MAX_S = 30.0
LOOK_UP_S = 0.2
THREADS_MAX = 4096
THREADS_SPARE = 64  # above the queue's bound, so that the queue and not the thread pool says "overloaded"


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises StartupError before anything is left behind."""
    address, _guard = _reserve(config)
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


def _work(config: Config, address: tuple[str, int], boot: int, failpoints: Failpoints | None, announce: Any) -> int:
    """One worker, from its own connections to the store up to its last reply."""
    # Imported here: with several workers, the metrics library reads its environment when it is first imported.
    from oncekv.server.app import Node
    from oncekv.server.door import Door

    node = Node(config, open_store(config.store_url), boot, failpoints)
    door = None
    inner = address
    if failpoints:
        listener = _listen(address, shared=True)
        inner = _free_address(config, port=0)
        door = Door(listener, inner)
    server = _Granian(
        "oncekv",
        address=inner[0],
        port=inner[1],
        interface=Interfaces.WSGI,
        blocking_threads=min(config.queue_max, THREADS_MAX) + THREADS_SPARE,
        backpressure=CONNECTIONS_MAX,
        http=HTTPModes.http1,
        websockets=False,
        runtime_mode=RuntimeModes.st,
        log_enabled=False,
    )

    def close() -> None:
        if door:
            door.close()
        node.close()

    server.main_loop_interrupt = _Awake()
    server.drain = Drain(lambda: node.calls_running, close)
    server.on_startup(lambda: _when_accepting(inner, door, announce))
    server.serve(target_loader=lambda: node.app, wrap_loader=False)
    return server.drain.finish()


class _Awake(threading.Event):
    """An event whose waiter looks up: a signal that comes just before an unbounded wait is handled only after it."""

    def wait(self, timeout: float | None = None) -> bool:
        while timeout is None and not super().wait(LOOK_UP_S):
            pass
        return super().wait(timeout)


class _Granian(MTServer):
    """granian's server of threads in this process. It is meant for Python without the GIL, and says so; with the
    GIL it serves the same way, and it is the one that makes no further process.
    """

    drain: Drain

    def _check_gil(self) -> None:
        pass

    def signal_handler_reload(self, *_args: Any, **_kwargs: Any) -> None:
        """SIGHUP changes nothing: the configuration is read once."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        self.drain.begin()
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]  # untyped in granian


def _reserve(config: Config) -> tuple[tuple[str, int], socket.socket]:
    """The address, and what keeps other servers off it while this process lives. Raises StartupError.

    SO_REUSEPORT, which our workers need, would let two servers that start at the same moment share a port. A name in
    the kernel's table of abstract sockets belongs to one, and is free again however its owner ends.
    """
    for _ in range(ADDRESSES_MAX):
        address = _free_address(config)
        guard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if sys.platform == "linux":  # other kernels have no such table
                guard.bind(f"\0oncekv-{address[0]}-{address[1]}")
        except OSError:
            guard.close()
            if config.port:
                break
        else:
            return address, guard
    raise StartupError(
        f"cannot listen on {config.host}:{config.port}: another server starts on it;"
        " name another --listen address, port 0 takes a free one"
    )


def _free_address(config: Config, port: int | None = None) -> tuple[str, int]:
    """The address to serve on. Raises StartupError when it is taken; the bind says so before a store is made."""
    wanted = (config.host, config.port if port is None else port)
    with _listen(wanted, shared=False) as probe:
        host, bound_port = probe.getsockname()[:2]
    return host, bound_port


def _listen(address: tuple[str, int], *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error};"
            " name another --listen address, port 0 takes a free one"
        ) from None
    return listener


def _when_accepting(inner: tuple[str, int], door: Any, announce: Any) -> None:
    """In the background: wait until the server accepts, open the door, then say so."""

    def wait() -> None:
        end_s = time.monotonic() + READY_MAX_S
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError), socket.create_connection(inner, timeout=1):
                if door:
                    door.start()
                announce()
                return
            time.sleep(0.005)
        print("the HTTP server did not come up", file=sys.stderr)
        os._exit(1)

    threading.Thread(target=wait, name="announce", daemon=True).start()
