"""The connections to the links: kept alive, as many as there are threads that call at once, each attempt in its time.

    requests' adapter ──► the link's pool ──► a connection ──► a socket that knows the attempt's deadline

A pool begins empty and opens a connection when a thread needs one and none is idle: 32 threads have 32, and keep them
from call to call. The bound is `CONNECTIONS_MAX`; a further thread waits until one comes free, up to its attempt's
deadline, and none is closed only to be opened again for the next call. The one used last is taken first, so that those
which a quieter time has no use for are left alone until the server closes them.

A read timeout starts anew with each received byte, so a reply that drips would outlive any deadline; the socket
therefore sets what is left of the deadline before each system call. It also sees whether a byte of the request was
given away, which is what tells *not sent* from *lost*; and it lets header and body leave together, since a header alone
wakes a server that has nothing to do yet.

Place on the way: under transport (3). Safe for threads: an attempt belongs to its thread. Limit: looking up a host name
is the system's own time; a host with several addresses gets the timeout for each.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
import time
from http.client import HTTPResponse, parse_headers
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from oncerpc.client import fork

__all__ = ["CONNECTIONS_MAX", "Adapter", "attempt"]

CONNECTIONS_MAX = 256
"""For each link of a client."""

_JOINED_BYTES_MAX = 64 * 1024
"""A body up to this size leaves together with its header; a larger one would be copied for nothing."""


class _Attempt(threading.local):
    """A thread's one attempt under way: until when, and whether a byte of it was given away."""

    deadline_s = 0.0
    is_sent = False

    def begin(self, timeout_s: float) -> None:
        """Another attempt of this thread."""
        self.deadline_s = time.monotonic() + timeout_s
        self.is_sent = False

    def left_s(self) -> float:
        """What is left of its time. Raises TimeoutError where nothing is."""
        left = self.deadline_s - time.monotonic()
        if left <= 0:
            raise TimeoutError("the attempt's deadline has passed")
        return left


attempt = _Attempt()


class Adapter(HTTPAdapter):
    """requests' adapter over these connections. What depends on the link alone is worked out once for each."""

    def __init__(self, links: int, connections_max: int) -> None:
        self._pools: dict[str, Any] = {}
        self._targets: dict[str, str] = {}
        super().__init__(pool_connections=links, pool_maxsize=connections_max, pool_block=True, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """With our pools."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The link's pool."""
        url = str(request.url)
        if url not in self._pools:
            self._pools[url] = super().get_connection_with_tls_context(request, *args, **kwargs)
        return self._pools[url]

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """What stands behind POST."""
        url = str(request.url)
        if url not in self._targets:
            self._targets[url] = super().request_url(request, proxies)
        return self._targets[url]

    def close(self) -> None:
        """Closes the idle connections; none is opened from now on."""
        for pool in tuple(self._pools.values()):
            pool.close()
        super().close()

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """With what the transport reads, and neither cookies nor a guess at the encoding."""
        response = requests.Response()
        response.request, response.raw = req, resp
        return response


class _TimedReader(io.RawIOBase):
    """Reads from the socket, each time with what is left of the attempt's deadline."""

    def __init__(self, timed: _TimedSocket, sock: socket.socket) -> None:
        self._timed = timed
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._timed.before_read()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """A connected socket, plain or TLS, that obeys the attempt's deadline and notes that something was sent."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._head = b""
        fork.watch(self)

    def after_fork(self) -> None:
        """Closes the child's copy: the parent's connection stays as it is, and a TLS one hears no farewell."""
        with contextlib.suppress(OSError):
            if (descriptor := self._sock.detach()) >= 0:
                os.close(descriptor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: Any) -> None:
        """The first part of a request, its header, waits for the next one, its body."""
        if not attempt.is_sent and not self._head:
            self._head = data
        elif self._head and len(data) > _JOINED_BYTES_MAX:
            self._send_head()
            self._send(data)
        else:
            self._send(self._head + data)

    def before_read(self) -> None:
        """Whatever was held back leaves now, and the read gets what is left of the time."""
        self._send_head()
        self._sock.settimeout(attempt.left_s())

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_TimedReader(self, self._sock))

    def _send_head(self) -> None:
        if self._head:
            self._send(self._head)

    def _send(self, data: Any) -> None:
        self._sock.settimeout(attempt.left_s())
        self._head = b""
        attempt.is_sent = True
        self._sock.sendall(data)


def _timed(sock: Any) -> Any:
    return _TimedSocket(sock)


class _FinalResponse(HTTPResponse):
    """Passes over interim replies (RFC 9110, 15.2): http.client knows 100 alone, and would take 103 for the reply.

    101 is none of them: after it the connection speaks another protocol.
    """

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if not 101 < line[1] < 200:
                return line
            parse_headers(self.fp)


class _Connection(HTTPConnection):
    response_class = _FinalResponse

    def connect(self) -> None:
        super().connect()
        self.sock = _timed(self.sock)


class _TlsConnection(HTTPSConnection):
    response_class = _FinalResponse

    def connect(self) -> None:
        super().connect()
        self.sock = _timed(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection

    def _get_conn(self, timeout: float | None = None) -> Any:
        return super()._get_conn(attempt.left_s() if timeout is None else timeout)


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection

    def _get_conn(self, timeout: float | None = None) -> Any:
        return super()._get_conn(attempt.left_s() if timeout is None else timeout)
