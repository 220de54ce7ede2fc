"""Addresses: bind early and say what is wrong, keep other servers off a port that our workers share, and accept."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import threading
import time
from collections.abc import Callable

from oncekv.server.config import Config, StartupError
from oncerpc.server.log import log

__all__ = ["Acceptor", "Address", "free_address", "listen", "reserve"]

Address = tuple[str, int]

ADDRESSES_MAX = 5
BACKLOG = 1024
SCARCE_PAUSE_S = 0.5
SCARCE_LOG_S = 60.0


def reserve(config: Config) -> tuple[Address, socket.socket]:
    """The address, and what keeps other servers off it while this process lives. Raises StartupError.

    SO_REUSEPORT, which our workers need, would let two servers that start at the same moment share a port. A name in
    the kernel's table of abstract sockets belongs to one, and is free again however its owner ends.
    """
    for _ in range(ADDRESSES_MAX):
        address = free_address(config.host, config.port)
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


def free_address(host: str, port: int) -> Address:
    """The address to serve on. Raises StartupError when it is taken; the bind says so before a store is made."""
    with listen((host, port), shared=False) as probe:
        bound_host, bound_port = probe.getsockname()[:2]
    return bound_host, bound_port


def listen(address: Address, *, shared: bool) -> socket.socket:
    """A socket that listens; `shared` with the other workers. Raises StartupError."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error};"
            " name another --listen address, port 0 takes a free one"
        ) from None
    return listener


class Acceptor:
    """Accepts connections, on a thread of its own, and hands them on until it is closed.

    Where the system has no more descriptors or threads to give, clients wait in the system's queue: it tries again
    twice a second, and says so once a minute.
    """

    def __init__(self, listener: socket.socket, handle_connection: Callable[[socket.socket], object]) -> None:
        self._listener = listener
        self._let_in = handle_connection
        self._closed = threading.Event()
        self._said_s = -SCARCE_LOG_S
        self._thread = threading.Thread(target=self._accept, name="accept", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Let nobody else in; harmless a second time."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            client = None
            try:
                client, _ = self._listener.accept()
                self._let_in(client)
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread could be started
                if client:
                    client.close()
                if not self._closed.is_set() and getattr(error, "errno", None) != errno.ECONNABORTED:
                    self._wait(error)

    def _wait(self, error: Exception) -> None:
        if time.monotonic() - self._said_s >= SCARCE_LOG_S:
            self._said_s = time.monotonic()
            log.error("new connections wait: %s; close some, or raise the limit (ulimit -n, ulimit -u)", error)
        self._closed.wait(SCARCE_PAUSE_S)
