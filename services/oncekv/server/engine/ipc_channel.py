"""A channel between two processes of one server: messages over a connected pair of sockets, each behind its length.

Guarantee: messages arrive whole and in order, or the channel is broken. Who sends by a `MessageSender` never waits.
Limit: a message has less than 4 GiB, and what the other end does not fetch is kept here.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator

from oncerpc.server.log import end_server, log

__all__ = ["READ_BYTES", "MessageReader", "MessageSender", "send"]

LENGTH_BYTES = 4
READ_BYTES = 256 * 1024


def send(channel: socket.socket, message: bytes) -> None:
    """Send a message, and wait until the socket has taken it."""
    channel.sendall(_framed(message))


class MessageSender:
    """Sends what the socket takes at once, and leaves the rest to a thread of its own."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._queued: deque[bytes] = deque()
        self._changed = threading.Condition()
        self.bytes_queued = 0
        threading.Thread(target=self._work, name="ipc-send", daemon=True).start()

    def send(self, message: bytes) -> None:
        """Soon. Raises OSError when the other end has closed."""
        data = _framed(message)
        with self._changed:
            if not self._queued:
                data = data[self._send_some(data) :]
            if data:
                self._queued.append(data)
                self.bytes_queued += len(data)
                self._changed.notify()

    def _send_some(self, data: bytes) -> int:
        try:
            return self._channel.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._queued:
                        self._changed.wait()
                    data = self._queued[0]
                self._channel.sendall(data)
                with self._changed:  # only now: until then nobody else may send
                    self.bytes_queued -= len(self._queued.popleft())
        except OSError as error:
            log.info("the other end of a channel has closed: %s", error)
        except Exception:
            end_server("what was sent late is lost")


class MessageReader:
    """Takes the messages apart that come on a channel."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = bytearray()

    def some(self) -> Iterator[bytes]:
        """Those that are whole after one more look. Raises EOFError when the other end has closed."""
        data = self._channel.recv(READ_BYTES)
        if not data:
            raise EOFError("the other end has closed")
        buffer = self._buffer
        buffer += data
        first = 0
        while len(buffer) - first >= LENGTH_BYTES:
            begin = first + LENGTH_BYTES
            end = begin + int.from_bytes(buffer[first:begin], "big")
            if len(buffer) < end:
                break
            yield bytes(buffer[begin:end])
            first = end
        del buffer[:first]


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(LENGTH_BYTES, "big") + message
