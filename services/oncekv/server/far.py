"""The committer seen from a worker, when it runs in a process of its own (`writer`): a connected pair of sockets.

Calls go there and answers come back, many at once. This is a remote call too.

Guarantee: nobody waits here to send, and every request is answered, or the whole server ends: when the writer is gone,
nobody can tell what it has done. Limit: while the writer stands still, so do the writes, and over `queue_bytes_max` of
what it did not fetch they are refused.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable

from oncekv.server.calls import Commits, Waiting, Watch
from oncekv.server.log import end_server, log
from oncekv.server.parcels import fill, pack_calls, unpack_answers
from oncekv.server.parts import Parts, read_tally
from oncekv.server.ways import Parcels, Sender
from oncekv.wire.errors import Overloaded

__all__ = ["FarCommitter"]

TICK_S = 0.2
MEET_TICKS = 5


class FarCommitter(Commits):
    """One worker's end of the way to the writer."""

    def __init__(self, parts: Parts, way: socket.socket) -> None:
        self._parts = parts
        self._way = way
        self._sender = Sender(way)
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
        requests = list(requests)
        if self._sender.bytes_late > self._parts.config.queue_bytes_max:
            self._refuse(requests)
            return
        try:
            with self._sending:
                first, self._number = self._number + 1, self._number + len(requests)
                numbered = list(enumerate(requests, first))
                parcel = pack_calls((number, request.size, request.calls) for number, request in numbered)
                self._waiting.update(numbered)
                self._sender.send(parcel)
        except Exception:
            self._end()

    def _refuse(self, requests: Iterable[Waiting]) -> None:
        """The writer does not fetch what it was sent."""
        for request in requests:
            for call in request.calls:
                call.fail(Overloaded())
            request.done()

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
            self._end()

    def _end(self) -> None:
        if not self._stopping.is_set():
            end_server("the way to the writer is broken")

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
