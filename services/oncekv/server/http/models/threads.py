"""The model `threads`: a thread for each connection; it reads, waits for the committer and answers, and only its client
waits with it.

The price: an idle connection holds a thread, and all threads share one interpreter, which only one of them runs.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from oncekv.server.http.app import KvServer
from oncekv.server.http.connection import Answered, Connection
from oncekv.server.http.drain import Drain
from oncekv.server.http.sockets import Acceptor, Address, listen
from oncerpc.server.http.endpoint import HttpReply
from oncerpc.server.http.exchange import Exchange
from oncerpc.server.log import log
from oncerpc.server.rpc.dispatcher import Caller

__all__ = ["serve"]

CONNECTIONS_MAX = 16_384
LOOK_UP_S = 0.2
READ_BYTES = 64 * 1024


def serve(server: KvServer, address: Address, announce: Callable[[], object]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    host = _Handler(server)
    acceptor = Acceptor(listen(address, shared=True), host.handle_connection)
    drain = Drain(lambda: len(server.running), server.close)
    stopping = threading.Event()

    def stop(_signal: int, _frame: Any) -> None:
        drain.begin()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the configuration is read once
    server.committer.listen(None)
    acceptor.start()
    announce()
    while not stopping.wait(LOOK_UP_S):  # a signal that comes just before an unbounded wait is handled only after it
        pass
    acceptor.close()
    host.drain()
    return drain.finish()


class _Handler:
    """The threads' server: its connections."""

    def __init__(self, server: KvServer) -> None:
        self.config = server.config
        self.is_draining = False
        self._server = server
        self._clients: set[_Client] = set()
        self._left = threading.Condition()

    def handle_connection(self, client: socket.socket) -> None:
        """Serve this connection, on a thread of its own. Raises RuntimeError when there is none to be had."""
        if len(self._clients) >= CONNECTIONS_MAX:
            client.close()
            return
        served = _Client(self, client)
        thread = threading.Thread(target=self._serve, args=(served,), name="connection", daemon=True)
        self._clients.add(served)
        try:
            thread.start()
        except RuntimeError:
            self._clients.discard(served)
            raise

    def drain(self) -> None:
        """Wait until the last connection has its reply."""
        self.is_draining = True
        with self._left:
            for client in self._clients:
                client.end_if_idle()
            self._left.wait_for(lambda: not self._clients)

    def call(self, body: bytes, caller: Caller, _answered: Answered) -> HttpReply:
        return Exchange(self._server.served, body, caller).answer()

    def page(self, verb: str, path: str, _answered: Answered) -> HttpReply:
        return self._server.page(verb, path)

    def _serve(self, client: _Client) -> None:
        try:
            client.run()
        except Exception:
            log.exception("a connection failed")
        finally:
            with self._left:
                self._clients.discard(client)
                self._left.notify_all()


class _Client(Connection):
    """A connection on a thread that waits for it; it is its own transport."""

    __slots__ = ("_end_s", "_is_closed", "_socket")

    def __init__(self, host: _Handler, client: socket.socket) -> None:
        super().__init__(host)
        self._transport = self
        self._socket = client
        self._is_closed = False
        self._end_s: float | None = None

    def run(self) -> None:
        """Until the connection is over."""
        with self._socket:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._is_closed:
                try:
                    data = self._read()
                except OSError:  # the client is gone, or its time is over
                    return
                if data:
                    self.receive(data)
                else:
                    self.receive_end()
                    return

    def end_if_idle(self) -> None:
        """On another thread: wakes this one, which goes when nothing came meanwhile."""
        if self.is_idle:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)

    def limit(self, time_s: float | None) -> None:
        self._end_s = None if time_s is None else time.monotonic() + time_s

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self._is_closed = True

    def write_eof(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self._is_closed

    def pause_reading(self) -> None:
        """Nothing is read while a request is served."""

    resume_reading = pause_reading

    def _read(self) -> bytes:
        """What came, empty at its end. Raises OSError."""
        if self._end_s is None:
            return self._socket.recv(READ_BYTES)
        self._socket.settimeout(max(self._end_s - time.monotonic(), 0.001))
        try:
            return self._socket.recv(READ_BYTES)
        finally:
            self._socket.settimeout(None)  # a reply may take as long as its client
