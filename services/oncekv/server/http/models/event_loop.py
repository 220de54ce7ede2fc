"""The model `event-loop`: one thread accepts, reads, parses and answers all connections, by callbacks, and never waits.

    loop     ─ call ─►  Exchange: the steps that need no store, right here
    pool     ◄──────    a few threads, for whatever may wait: reads, pages, large bodies, failpoints
    writer   ◄──────    the committer's thread, for every write
    loop     ◄ callbacks  what they have done comes back as a callback, all that is ready in one wake-up

A connection costs its objects and no thread, and a request that waits costs nothing but its place in a queue. The
price: whatever runs too long on the loop, everybody waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from oncekv.server.http.app import KvServer
from oncekv.server.http.connection import Answered, Connection
from oncekv.server.http.drain import Drain
from oncekv.server.http.sockets import Acceptor, Address, listen
from oncerpc.server.http.exchange import Exchange, Work
from oncerpc.server.log import log
from oncerpc.server.rpc.call import Submission
from oncerpc.server.rpc.dispatcher import Caller

__all__ = ["serve"]

CONNECTIONS_MAX = 16_384
POOL_THREADS = 8  # the store reads with two at a time; the others are for what sleeps at a failpoint
READS_HELD_UP_S = 0.005  # a read that waits so long for the one before it gets a thread of its own


def serve(server: KvServer, address: Address, announce: Callable[[], object]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    loop = asyncio.new_event_loop()
    host = _Handler(server, loop)
    drain = Drain(lambda: len(server.running), server.close)

    def stop(_signal: int, _frame: Any) -> None:
        drain.begin()
        acceptor.close()
        loop.call_soon_threadsafe(host.drain)

    acceptor = Acceptor(listen(address, shared=True), host.handle_connection)
    # Not by the loop's own signal handlers: a loop that somebody blocks would not hear that it is to end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the configuration is read once
    _wake_at_signals(loop)
    server.committer.listen(loop.add_reader)
    acceptor.start()
    announce()
    loop.run_forever()
    code = drain.finish()
    loop.close()
    return code


def _wake_at_signals(loop: asyncio.AbstractEventLoop) -> None:
    """A signal that another thread gets, or this one just before it waits, interrupts no wait: its Python handler would
    run when something else happens, on an idle server never.
    """
    woken, waking = socket.socketpair()
    for end in (woken, waking):
        end.setblocking(False)
    loop.add_reader(woken, woken.recv, 4096)
    signal.set_wakeup_fd(waking.detach(), warn_on_full_buffer=False)


class _Connection(Connection, asyncio.Protocol):
    """A connection whose bytes come and go by the loop's callbacks."""

    __slots__ = ("_loop_host", "_timer")

    def __init__(self, host: _Handler) -> None:
        super().__init__(host)
        self._loop_host = host
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, time_s: float | None) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if time_s is not None:
            self._timer = asyncio.get_running_loop().call_later(time_s, self._transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop_host.joined(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost()
        self._loop_host.left(self)

    data_received = Connection.receive
    eof_received = Connection.receive_end

    def pause_writing(self) -> None:
        self.set_writable(False)

    def resume_writing(self) -> None:
        self.set_writable(True)


class _Handler:
    """The loop's server: its connections, and the ways from the loop to the threads that may wait and back."""

    def __init__(self, server: KvServer, loop: asyncio.AbstractEventLoop) -> None:
        self.config = server.config
        self.is_draining = False
        self._server = server
        self._loop = loop
        self._connections: set[_Connection] = set()
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="pool")
        self._callbacks: deque[Work] = deque()
        self._writes: list[Submission] = []
        self._reads: deque[Work] = deque()
        self._readers: list[Future[None]] = []
        self._reads_timer: asyncio.TimerHandle | None = None
        self._is_woken = False
        self._joining: set[asyncio.Task[Any]] = set()  # the loop itself holds its tasks only weakly

    def handle_connection(self, client: socket.socket) -> None:
        """Serve this connection; called on another thread."""
        client.setblocking(False)
        self._loop.call_soon_threadsafe(self._join, client)

    def _join(self, client: socket.socket) -> None:
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: _Connection(self), client))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    def drain(self) -> None:
        """Let nobody else in; when the last connection has its reply, the loop ends."""
        if not self.is_draining:
            self.is_draining = True
            for connection in tuple(self._connections):
                connection.end_if_idle()
            self._end_if_done()

    def joined(self, connection: _Connection) -> None:
        self._connections.add(connection)
        if self.is_draining or len(self._connections) > CONNECTIONS_MAX:
            connection.end_if_idle()

    def left(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._end_if_done()

    def call(self, body: bytes, caller: Caller, answered: Answered) -> None:
        Exchange(self._server.served, body, caller).start(answered, self)

    def page(self, verb: str, path: str, answered: Answered) -> None:
        self.in_thread(lambda: self.on_loop(partial(answered, self._server.page(verb, path))))

    def in_thread(self, work: Work) -> None:
        self._pool.submit(_logged, work)

    def read(self, work: Work) -> None:
        # All of one look at the sockets goes to one thread: several would spend their time on waking each other.
        if not self._reads:
            self._loop.call_soon(self._start_reads)
        self._reads.append(work)

    def _start_reads(self) -> None:
        """One thread more for the reads, and another one whenever those before it are held up."""
        if self._reads_timer:
            self._reads_timer.cancel()
            self._reads_timer = None
        if self._reads:
            self._readers = [reader for reader in self._readers if not reader.done()]
            if len(self._readers) < POOL_THREADS:
                self._readers.append(self._pool.submit(self._do_reads))
            self._reads_timer = self._loop.call_later(READS_HELD_UP_S, self._start_reads)

    def _do_reads(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                _logged(self._reads.popleft())

    def commit(self, waiting: Submission) -> None:
        # All that came in one look at the sockets goes in together: the writer wakes once, and not for a group of one.
        if not self._writes:
            self._loop.call_soon(self._hand_over)
        self._writes.append(waiting)

    def _hand_over(self) -> None:
        writes, self._writes = self._writes, []
        self._server.committer.submit(writes)

    def on_loop(self, work: Work) -> None:
        self._callbacks.append(work)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._run_callbacks)

    def _run_callbacks(self) -> None:
        # First of all: whoever adds a callback from here on wakes the loop again.
        self._is_woken = False
        for _ in range(len(self._callbacks)):
            _logged(self._callbacks.popleft())
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self.is_draining and not self._connections and not self._server.running:
            self._loop.stop()


def _logged(work: Work) -> None:
    try:
        work()
    except Exception:
        log.exception("a callback failed")
