"""The committer seen from a worker, when it runs in a process of its own (`writer`): a connected pair of sockets.

Calls go there and answers come back, many at once. This is a remote call too.

Guarantee: nobody waits here to send, and every request is answered, or the whole server ends: when the writer is gone,
nobody can tell what it has done. Limit: while the writer stands still, so do the writes, and over `queue_bytes_max` of
what it did not fetch they are refused.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable

from oncekv.server.engine.ipc_channel import READ_BYTES, MessageReader, MessageSender
from oncekv.server.engine.ipc_messages import apply_answers, pack_calls, unpack_answers
from oncekv.server.engine.storage.base import Store
from oncerpc.server.log import StateLog, end_server
from oncerpc.server.rpc.call import BaseCommitter, Submission, Watch
from oncerpc.server.rpc.components import Components, read_counters
from oncerpc.wire.errors import Overloaded

__all__ = ["RemoteCommitter"]

TICK_S = 0.2
CATCH_UP_TICKS = 5
DEATH_MAX_S = 10.0


class RemoteCommitter(BaseCommitter):
    """One worker's end of the channel to the writer."""

    def __init__(self, components: Components[Store], channel: socket.socket) -> None:
        self._components = components
        self._channel = channel
        self._sender = MessageSender(channel)
        self._reader = MessageReader(channel)
        self._sending = threading.Lock()
        self._waiting: dict[int, Submission] = {}
        self._number = 0
        self._stopping = threading.Event()
        self._receiving = threading.Thread(target=self._receive_all, name="receive", daemon=True)

    def start(self) -> None:
        threading.Thread(target=self._tick, name="lease-clock", daemon=True).start()

    def listen(self, watch: Watch | None) -> None:
        if watch:
            watch(self._channel, self._receive)
        else:
            self._receiving.start()

    def stop(self) -> None:
        self._stopping.set()
        self._channel.shutdown(socket.SHUT_WR)
        if self._receiving.is_alive():
            self._receiving.join()
        with contextlib.suppress(ConnectionError):
            while self._channel.recv(READ_BYTES):  # until the writer has closed its store, and this end
                pass
        self._channel.close()

    def submit(self, requests: Iterable[Submission]) -> None:
        requests = list(requests)
        if self._sender.bytes_queued > self._components.config.queue_bytes_max:
            self._refuse(requests)
            return
        try:
            with self._sending:
                first, self._number = self._number + 1, self._number + len(requests)
                numbered = list(enumerate(requests, first))
                message = pack_calls((number, request.size, request.calls) for number, request in numbered)
                self._waiting.update(numbered)
                self._sender.send(message)
        except Exception:
            self._end()

    def _refuse(self, requests: Iterable[Submission]) -> None:
        """The writer does not fetch what it was sent."""
        for request in requests:
            for call in request.calls:
                call.fail(Overloaded())
            request.done()

    def _receive_all(self) -> None:
        while not self._stopping.is_set():
            self._receive()

    def _receive(self) -> None:
        """What has come, waiting for it if there is nothing yet."""
        try:
            for message in self._reader.some():
                for number, answers in unpack_answers(message):
                    request = self._waiting.pop(number)
                    apply_answers(request.calls, answers)
                    request.done()
        except Exception:
            self._end()

    def _end(self) -> None:
        if not self._stopping.is_set():
            # If the writer has died, who watches it ends this process meanwhile, by the same death; a busy machine may
            # take its time to say so.
            time.sleep(DEATH_MAX_S)
            end_server("the channel to the writer is broken")

    def _tick(self) -> None:
        """Keep the lease clock going, and with those of the others on this store."""
        ticks = 0
        trouble = StateLog("the store says what its time is")
        while not self._stopping.wait(TICK_S):
            ticks += 1
            self._components.clock.now_ms()
            if ticks % CATCH_UP_TICKS == 0:
                try:
                    self._components.clock.catch_up(read_counters(self._components.store).clock_ms)
                    trouble.ends()
                except Exception as error:
                    trouble.begins(f"the store does not say what its time is: {error}")
