"""A way between two processes of one server: parcels over a connected pair of sockets, each behind its length.

Guarantee: parcels arrive whole and in order, or the way is broken. Who sends by a `Sender` never waits.
Limit: a parcel has less than 4 GiB, and what the other end does not fetch is kept here.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator

from oncekv.server.log import end_server, log

__all__ = ["Parcels", "Sender", "send"]

LENGTH_BYTES = 4
READ_BYTES = 256 * 1024


def send(way: socket.socket, parcel: bytes) -> None:
    """Send a parcel, and wait until the socket has taken it."""
    way.sendall(_framed(parcel))


class Sender:
    """Sends what the socket takes at once, and leaves the rest to a thread of its own."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way
        self._late: deque[bytes] = deque()
        self._changed = threading.Condition()
        self.bytes_late = 0
        threading.Thread(target=self._work, name="send", daemon=True).start()

    def send(self, parcel: bytes) -> None:
        """Soon. Raises OSError when the other end has closed."""
        data = _framed(parcel)
        with self._changed:
            if not self._late:
                data = data[self._send_some(data) :]
            if data:
                self._late.append(data)
                self.bytes_late += len(data)
                self._changed.notify()

    def _send_some(self, data: bytes) -> int:
        try:
            return self._way.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._late:
                        self._changed.wait()
                    data = self._late[0]
                self._way.sendall(data)
                with self._changed:  # only now: until then nobody else may send
                    self.bytes_late -= len(self._late.popleft())
        except OSError as error:
            log.info("the other end of a way has closed: %s", error)
        except Exception:
            end_server("what was sent late is lost")


class Parcels:
    """Takes the parcels apart that come on a way."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way
        self._buffer = bytearray()

    def some(self) -> Iterator[bytes]:
        """Those that are whole after one more look. Raises EOFError when the other end has closed."""
        data = self._way.recv(READ_BYTES)
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


def _framed(parcel: bytes) -> bytes:
    return len(parcel).to_bytes(LENGTH_BYTES, "big") + parcel
