"""The model `threads`: a thread for each request that runs; it waits for the committer, and only its client waits.

The HTTP server is granian with threads, run inside this process. It reads requests by itself and hands each to a
thread of its pool, so an idle connection holds none.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.server.mt import MTServer

from oncekv.server.http.app import Node
from oncekv.server.http.drop_relay import DropRelay
from oncekv.server.log import log
from oncekv.server.process.drain import Drain
from oncekv.server.process.sockets import Address, free_address, listen

__all__ = ["serve"]

CONNECTIONS_MAX = 16_384
READY_MAX_S = 30.0
LOOK_UP_S = 0.2
THREADS_MAX = 4096
THREADS_SPARE = 64  # above the queue's bound, so that the queue and not the thread pool says "overloaded"


def serve(node: Node, address: Address, announce: Callable[[], object]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    drop_relay = None
    inner = address
    if node.config.failpoints:
        listener = listen(address, shared=True)
        inner = free_address(address[0], 0)
        drop_relay = DropRelay(listener, inner)
    server = _Granian(
        "oncekv",
        address=inner[0],
        port=inner[1],
        interface=Interfaces.WSGI,
        blocking_threads=min(node.config.queue_max, THREADS_MAX) + THREADS_SPARE,
        backpressure=CONNECTIONS_MAX,
        http=HTTPModes.http1,
        websockets=False,
        runtime_mode=RuntimeModes.st,
        log_enabled=False,
    )

    def close() -> None:
        if drop_relay:
            drop_relay.close()
        node.close()

    node.committer.listen(None)
    server.main_loop_interrupt = _Awake()
    server.drain = Drain(lambda: len(node.running), close)
    server.on_startup(lambda: _when_accepting(inner, drop_relay, announce))
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


def _when_accepting(inner: Address, drop_relay: DropRelay | None, announce: Callable[[], object]) -> None:
    """In the background: wait until the server accepts, open the door, then say so."""

    def wait() -> None:
        end_s = time.monotonic() + READY_MAX_S
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError), socket.create_connection(inner, timeout=1):
                if drop_relay:
                    drop_relay.start()
                announce()
                return
            time.sleep(0.005)
        log.critical("the HTTP server did not come up")
        os._exit(1)

    threading.Thread(target=wait, name="announce", daemon=True).start()
