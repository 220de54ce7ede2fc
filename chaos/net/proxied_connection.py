"""A proxied connection: one client's connection and its counterpart to the target, and the bytes that go between the
two.

    client ──request──► connection ──request──► target
           ◄──reply────         ◄──reply────

Place: in the message proxy, one thread each. Guarantee: what passes is unchanged, a reply goes on as it comes in, and
when one end closes or resets, the other is told at once (Ended, and the message proxy closes both). Bound: no wait is
longer than QUIET_MAX_S, unless its maker says so. Limit: one request at a time on a connection, as every client of this
project does.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time

from chaos.net.framing import Message, Unframed

__all__ = ["Ended", "ProxiedConnection", "ask"]

QUIET_MAX_S = 60.0
_CHUNK_BYTES = 64 * 1024
_REFUSAL = (
    "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}"
)


class Ended(Exception):
    """One of the ends is gone, or quiet for too long."""


class ProxiedConnection:
    """Used by one thread. Both sockets remain the caller's to close."""

    def __init__(self, client: socket.socket, target: socket.socket, quiet_max_s: float = QUIET_MAX_S) -> None:
        self._client = client
        self._target = target
        self._quiet_max_s = quiet_max_s
        self._is_answering = False
        for end in (client, target):
            end.settimeout(quiet_max_s)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self) -> Message:
        """The client's next request, whole. Raises Ended and Unframed."""
        request = Message()
        self._is_answering = False
        while not request.whole:
            ready = self._ready(select.POLLIN)
            if self._target in ready:
                self._read_target()  # nothing was asked: it is its end, or nobody's reply
                raise Ended()
            request.feed(self._read_client())
        return request

    def exchange(self, request: bytes | bytearray, *, hand_on: bool) -> Message:
        """Pass a request on and read its whole reply; the client gets it unless `hand_on` is false.

        Raises Ended when the reply was cut (the client has what came of it), and Unframed.
        """
        unsent, reply = memoryview(request), Message(is_reply=True)
        while not reply.whole:
            ready = self._ready(select.POLLIN | (select.POLLOUT if unsent else 0))
            if self._client in ready:
                self._read_client()
                raise Unframed("a request before the reply to the last; pipelining is not carried")
            events = ready.get(self._target, 0)
            if events & ~select.POLLOUT:
                self._take_reply(reply, hand_on)
            elif events:
                unsent = self._send_some(unsent)
        return reply

    def answer(self, reply: bytes) -> None:
        """Hand the client a reply that is not the target's; nothing was passed on. Raises OSError."""
        self._client.sendall(reply)

    def keep_silent(self) -> None:
        """Say nothing, and read on until the client closes."""
        end_s = time.monotonic() + self._quiet_max_s
        with contextlib.suppress(Ended):
            while time.monotonic() < end_s:
                self._read_client()

    def refuse(self, reason: str) -> None:
        """Tell the client in words, unless it is in the middle of a reply."""
        if self._is_answering:
            return
        text = f"message proxy: {reason}\n"
        self._client.sendall(_REFUSAL.format(len(text), text).encode())
        self._client.shutdown(socket.SHUT_WR)
        self.keep_silent()  # to close over unread bytes would reset the connection, and the words be lost

    def _ready(self, target_events: int) -> dict[socket.socket, int]:
        poll = select.poll()
        poll.register(self._client, select.POLLIN)
        poll.register(self._target, target_events)
        events = dict(poll.poll(self._quiet_max_s * 1000))
        if not events:
            raise Ended()
        return {end: events[end.fileno()] for end in (self._client, self._target) if end.fileno() in events}

    def _read_client(self) -> bytes:
        try:
            chunk = self._client.recv(_CHUNK_BYTES)
        except OSError:
            chunk = b""
        if not chunk:
            raise Ended()
        return chunk

    def _read_target(self) -> bytes:
        try:
            chunk = self._target.recv(_CHUNK_BYTES)
        except ConnectionResetError:
            # Closed with this, the client's connection is reset too, and not merely closed.
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Ended() from None
        if not chunk:
            raise Ended()
        return chunk

    def _take_reply(self, reply: Message, hand_on: bool) -> None:
        chunk = self._read_target()
        reply.feed(chunk)
        if hand_on:
            self._is_answering = True
            self._client.sendall(chunk)

    def _send_some(self, unsent: memoryview) -> memoryview:
        try:
            return unsent[self._target.send(unsent) :]
        except OSError:
            return unsent[:0]  # it reads no further; a reply that says why may still be there to read


def ask(target: socket.socket, request: bytes, timeout_s: float) -> Message:
    """Send a request on a fresh connection and read its whole reply within `timeout_s`. Raises Ended and Unframed."""
    reply, end_s = Message(is_reply=True), time.monotonic() + timeout_s
    target.settimeout(timeout_s)
    try:
        target.sendall(request)
        while not reply.whole:
            target.settimeout(max(0.001, end_s - time.monotonic()))
            if not (chunk := target.recv(_CHUNK_BYTES)):
                raise Ended()
            reply.feed(chunk)
    except OSError:
        raise Ended() from None
    return reply
