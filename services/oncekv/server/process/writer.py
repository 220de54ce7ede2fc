"""The writer: the process in which a server commits, unless its one worker does that on a thread (`--writer thread`).

Its committer is the only one, so groups are as large as the load allows, what it knows of the store stays true, and the
workers read, parse and answer on other cores meanwhile. It ends when the last worker has closed its end, and the
workers wait for that: its own ends are closed last.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from oncekv.server.engine.committer import Committer
from oncekv.server.engine.ipc_channel import MessageReader, send
from oncekv.server.engine.ipc_messages import pack_answers, unpack_calls
from oncekv.server.engine.storage.base import Store
from oncerpc.server.log import end_server, log
from oncerpc.server.rpc.call import Call, Submission
from oncerpc.server.rpc.components import Components
from oncerpc.server.watchdog import RequestsInFlight, Watchdog

__all__ = ["serve_workers"]

MESSAGE_REQUESTS_MAX = 16  # their replies may have megabytes each, and stand in memory a few times over


class _Request:
    """The calls of one request of a worker, until they are answered."""

    __slots__ = ("_line", "calls", "number")

    def __init__(self, line: _WorkerChannel, number: int, calls: Sequence[Call]) -> None:
        self._line = line
        self.number = number
        self.calls = calls

    def done(self) -> None:
        self._line.running.leave(self)
        self._line.answered.put(self)


class _WorkerChannel:
    """One worker's channel: a thread takes its calls in, another sends the answers."""

    def __init__(
        self, channel: socket.socket, components: Components[Store], committer: Committer, running: RequestsInFlight
    ) -> None:
        self._channel = channel
        self._methods = components.facts.methods
        self._committer = committer
        self.running = running
        self.answered: SimpleQueue[_Request | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=_or_crash, args=(work,), name=name, daemon=True)
            for name, work in (("listen", self._listen), ("speak", self._send_answers))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Until the worker has closed."""
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        reader = MessageReader(self._channel)
        try:
            while True:
                for message in reader.some():
                    self._committer.submit(self._unpacked(message))
        except (EOFError, ConnectionError) as error:
            log.info("a worker is gone: %s", error)
        self.answered.put(None)

    def _unpacked(self, message: bytes) -> list[Submission]:
        waiting = []
        for number, size, calls in unpack_calls(message, self._methods):
            request = _Request(self, number, calls)
            self.running.enter(request)
            waiting.append(Submission(calls, size, request.done))
        return waiting

    def _send_answers(self) -> None:
        """Answers, many in one message; on a thread, for the committer never waits for a worker."""
        is_last = False
        while not is_last and (first := self.answered.get()) is not None:
            message = [first]
            with contextlib.suppress(Empty):
                while len(message) < MESSAGE_REQUESTS_MAX and not is_last:
                    more = self.answered.get_nowait()
                    is_last = more is None
                    message += [more] if more is not None else []
            try:
                send(self._channel, pack_answers((request.number, request.calls) for request in message))
            except ConnectionError as error:
                log.info("a worker did not wait for its answers: %s", error)
                return


def serve_workers(
    components: Components[Store], channels: Sequence[socket.socket], announce: Callable[[], object]
) -> int:
    """Commit what comes on these channels until all are closed; the exit code."""
    running = RequestsInFlight()
    watchdog = Watchdog(running, components.config.call_watch_ms)
    watchdog.start()
    committer = Committer(components)
    committer.start()
    lines = [_WorkerChannel(channel, components, committer, running) for channel in channels]
    for line in lines:
        line.start()
    announce()
    for line in lines:
        line.join()
    watchdog.stop()
    committer.stop()
    components.store.close()
    for channel in channels:
        channel.close()
    return 0


def _or_crash(work: Callable[[], object]) -> None:
    try:
        work()
    except BaseException:
        end_server("the writer lost its channel to a worker")
