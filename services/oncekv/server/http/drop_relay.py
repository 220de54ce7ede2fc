"""The door: with `--failpoints`, connections pass here, so that a reply can be swallowed and its connection closed.

The HTTP server below gives an application no way to its socket. So `drop` answers with a status of its own, and this
relay, which stands between the public address and the server, closes the connection when it sees that status come
by, before a byte of it has left. Without `--failpoints` there is no door.

Limit: one request at a time on a connection (no HTTP pipelining), as every client of this project does.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

__all__ = ["DropRelay"]

_DROP = b"HTTP/1.1 599 "
_GO_ON = b"HTTP/1.1 100 "
_CHUNK_BYTES = 64 * 1024
_LEAVE_S = 1.0


class DropRelay:
    """Relays from a public address to a server on the same machine."""

    def __init__(self, listener: socket.socket, inner: tuple[str, int]) -> None:
        self._listener = listener
        self._inner = inner
        self._open: set[threading.Thread] = set()

    def start(self) -> None:
        threading.Thread(target=self._accept, name="door", daemon=True).start()

    def close(self) -> None:
        """Let nobody else in, and give replies that are on their way a moment to leave."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        end_s = time.monotonic() + _LEAVE_S
        for thread in list(self._open):
            thread.join(max(0.0, end_s - time.monotonic()))

    def _accept(self) -> None:
        while True:
            try:
                outer, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._relay, args=(outer,), name="door-connection", daemon=True)
            thread.start()
            self._open.add(thread)

    def _relay(self, outer: socket.socket) -> None:
        with outer, contextlib.suppress(OSError), socket.create_connection(self._inner) as inner:
            for end in (outer, inner):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked = threading.Event()
            back = threading.Thread(target=_replies, args=(inner, outer, asked), name="door-back", daemon=True)
            back.start()
            _requests(outer, inner, asked)
            back.join()
        self._open.discard(threading.current_thread())


def _requests(outer: socket.socket, inner: socket.socket, asked: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while chunk := outer.recv(_CHUNK_BYTES):
            asked.set()
            inner.sendall(chunk)
    with contextlib.suppress(OSError):
        inner.shutdown(socket.SHUT_WR)


def _replies(inner: socket.socket, outer: socket.socket, asked: threading.Event) -> None:
    """Only what follows a request is a reply's head; a stored value may look like one."""
    with contextlib.suppress(OSError):
        while chunk := inner.recv(_CHUNK_BYTES):
            if asked.is_set() and not chunk.startswith(_GO_ON):
                asked.clear()
                if chunk.startswith(_DROP):
                    break
            outer.sendall(chunk)
    for end in (outer, inner):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
