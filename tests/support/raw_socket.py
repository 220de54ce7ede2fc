"""Bytes over a socket: for requests that no HTTP library would send."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
from urllib.parse import urlsplit

from tests.support.replies import HttpReply

__all__ = ["connect", "exchange", "read_reply", "replies_to"]


def connect(url: str, timeout_s: float = 10.0) -> socket.socket:
    """A plain TCP connection to the server."""
    components = urlsplit(url)
    return socket.create_connection((components.hostname, components.port), timeout_s)


def read_reply(connection: socket.socket) -> HttpReply | None:
    """The next HTTP response; None when the server closes the connection instead of sending one."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return HttpReply(response.status, response.headers, response.read())
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return None
    finally:
        response.close()


def exchange(url: str, head: str, body: bytes = b"", *, last: bool = False) -> HttpReply | None:
    """Send a head (lines, without the blank one) and a body as they are; with `last`, nothing more will follow."""
    with connect(url) as connection:
        lines = "\r\n".join([*head.splitlines(), "Host: test", "", ""])
        # A server may refuse by the head alone and close: what matters is the reply that it sent before.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(lines.encode("latin-1") + body)
            if last:
                connection.shutdown(socket.SHUT_WR)
        return read_reply(connection)


def replies_to(url: str, sent: bytes) -> list[HttpReply]:
    """All responses to these bytes, behind which nothing more comes; interim ones (1xx) are passed over."""
    received = b""
    with connect(url) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            received += part
    return _responses(received)


def _responses(received: bytes) -> list[HttpReply]:
    stream = _Stream(received)
    replies = []
    while (reply := read_reply(stream)) is not None:  # type: ignore[arg-type]  # all that http.client asks of a socket
        replies.append(reply)
    return replies


class _Stream(io.BytesIO):
    """Bytes that came, for `http.client` to read one response after the other."""

    def makefile(self, _mode: str) -> _Stream:
        """The same stream for each response."""
        return self

    def close(self) -> None:
        """Not with the response: the next one stands behind it."""
