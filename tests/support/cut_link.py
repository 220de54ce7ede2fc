"""A TCP link that is cut at a word: before the word goes on, or after it went and before the answer comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

__all__ = ["CutLink"]


class CutLink:
    """Hands bytes on between its port and another one of 127.0.0.1, until `close()`."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream = ("127.0.0.1", upstream_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._word, self._lets_through, self._count = b"", False, 0
        self._for_good = False
        self.is_down = False
        """While it is, every new connection is closed at once."""
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def cut_at(self, word: bytes, *, lets_through: bool, count: int = 1, for_good: bool = False) -> None:
        """Cut everything when the client says this word the next `count` times; `lets_through`: the word still goes.

        `for_good`: from then on it is down.
        """
        self._word, self._lets_through, self._count = word, lets_through, count
        self._for_good = for_good

    def cut(self) -> None:
        """Close all connections."""
        self._cut_all_but(None)

    def _cut_all_but(self, kept: socket.socket | None) -> None:
        """A connection that is made meanwhile is not among them."""
        self.cuts += 1
        with self._guard:
            found, self._open = self._open, set()
        for one in found - {kept}:
            _end(one)

    def close(self) -> None:
        """Cut, and listen no longer."""
        self.is_down = True
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.is_down:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._upstream, 5)
            except OSError:
                _end(client)
                continue
            with self._guard:
                self._open |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target, source is client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_request and self._count and self._word in data:
                    self._count -= 1
                    self.is_down = self.is_down or self._for_good
                    self._cut_all_but(target)  # first, or a quick answer would slip back before the cut
                    if self._lets_through:
                        target.sendall(data)
                    _end(target)
                    return
                target.sendall(data)
        for one in (source, target):
            with self._guard:
                self._open.discard(one)
            _end(one)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
