"""The committer seen from a worker, when it runs in a process of its own (`writer`): a connected pair of sockets.

Calls go there and answers come back, many at once. This is a remote call too, and it gets no answer only when the
writer is gone; then the whole server ends (`workers`), for nobody can tell what the writer has done.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable, Iterator

from oncekv.server.calls import Call, Commits, Waiting, Watch
from oncekv.server.log import log
from oncekv.server.parcels import fill, pack_calls, unpack_answers
from oncekv.server.parts import Parts, read_tally

__all__ = ["FarCommitter", "Parcels", "send"]

TICK_S = 0.2
MEET_TICKS = 5
LENGTH_BYTES = 4
READ_BYTES = 256 * 1024


class FarCommitter(Commits):
    """One worker's end of the way to the writer."""

    def __init__(self, parts: Parts, way: socket.socket) -> None:
        self._parts = parts
        self._way = way
        self._parcels = Parcels(way)
        self._sending = threading.Lock()
        self._waiting: dict[int, Waiting] = {}
        self._number = 0
        self._stopping = threading.Event()
        self._hearing = threading.Thread(target=self._hear_all, name="hear", daemon=True)

    def start(self) -> None:
        threading.Thread(target=self._tick, name="tick", daemon=True).start()

    def listen(self, watch: Watch | None) -> None:
        if watch:
            watch(self._way, self._hear)
        else:
            self._hearing.start()

    def stop(self) -> None:
        self._stopping.set()
        self._way.shutdown(socket.SHUT_RDWR)
        if self._hearing.is_alive():
            self._hearing.join()
        self._way.close()

    def submit(self, requests: Iterable[Waiting]) -> None:
        with self._sending:
            numbered: list[tuple[int, int, list[Call]]] = []
            for request in requests:
                self._number += 1
                self._waiting[self._number] = request
                numbered.append((self._number, request.size, list(request.calls)))
            send(self._way, pack_calls(numbered))

    def _hear_all(self) -> None:
        while not self._stopping.is_set():
            self._hear()

    def _hear(self) -> None:
        """What has come, waiting for it if there is nothing yet."""
        try:
            for parcel in self._parcels.some():
                for number, answers in unpack_answers(parcel):
                    request = self._waiting.pop(number)
                    fill(request.calls, answers)
                    request.done()
        except Exception:
            if not self._stopping.is_set():
                log.critical("the way to the writer is broken; the server ends", exc_info=True)
                os._exit(1)

    def _tick(self) -> None:
        """Keep the lease clock going, and with those of the others on this store."""
        ticks = 0
        while not self._stopping.wait(TICK_S):
            ticks += 1
            self._parts.clock.now_ms()
            if ticks % MEET_TICKS == 0:
                try:
                    self._parts.clock.meet(read_tally(self._parts.store).clock_ms)
                except Exception:
                    log.exception("the store does not say what its time is")


def send(way: socket.socket, parcel: bytes) -> None:
    """One parcel, behind its length."""
    way.sendall(len(parcel).to_bytes(LENGTH_BYTES, "big") + parcel)


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
