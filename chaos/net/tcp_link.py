"""A TCP link between a client and a port of 127.0.0.1; what it does with the bytes, its kinds say."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from typing import Self

__all__ = ["TcpLink", "end"]

CONNECT_MAX_S = 5.0


class TcpLink(ABC):
    """Takes connections on its `port` of `host`, and makes one to the other port for each, until `close()`."""

    def __init__(self, upstream_port: int, host: str = "127.0.0.1") -> None:
        self._upstream = ("127.0.0.1", upstream_port)
        self._listener = socket.create_server((host, 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self.is_down = False
        """While it is, every new connection is closed at once."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def cut(self) -> None:
        """Close all connections; new ones are taken while it is not down."""
        self._cut_all_but(None)

    def close(self) -> None:
        """Cut, and listen no longer."""
        self.is_down = True
        self._listener.close()
        self.cut()

    def _cut_all_but(self, kept: socket.socket | None) -> None:
        """A connection that is made meanwhile is not among them."""
        with self._guard:
            found, self._open = self._open, set()
        for one in found - {kept}:
            end(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.is_down:
                    raise ConnectionRefusedError
                upstream = socket.create_connection(self._upstream, CONNECT_MAX_S)
            except OSError:
                end(client)
                continue
            with self._guard:
                self._open |= {client, upstream}
            for source, target in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._pump, args=(source, target, source is client), daemon=True).start()

    @abstractmethod
    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        """Hand on what comes from one side to the other, until either ends."""

    def _end_both(self, *sides: socket.socket) -> None:
        for one in sides:
            with self._guard:
                self._open.discard(one)
            end(one)


def end(one: socket.socket) -> None:
    """Close it, whatever state it is in."""
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
