"""One POST with one deadline: connecting, sending, and every byte of the reply are done by then or the
attempt is lost.

`requests` is used by its adapter alone, the part of it that threads may share: no cookies, no proxies or
credentials from the environment, no redirects, and no retry of its own, for a retry that the policy does not
know of would be an attempt that nobody counts. Its read timeout starts anew with each received byte, so a
reply that drips would outlive any deadline; a thin layer over the socket therefore sets what is left of the
deadline before each system call. The same layer sees whether a byte of the request was given away, which is
what tells *not sent* from *lost*.

Place on the way: transport (3), between retry (2) and the link (4). Guarantee: `NotSent` only if no byte was
written. Limit: looking up a host name is the system's own time; a host with several addresses gets the
timeout for each.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from oncekv.client.ending import Lost, NotSent
from oncekv.client.reply import Received

__all__ = ["REPLY_BYTES_MAX", "HttpTransport", "Transport"]

REPLY_BYTES_MAX = 64 * 1024 * 1024
"""The largest reply that is read: a result of 4 MiB, each character escaped, still fits; a flood does not."""

_CHUNK_BYTES = 64 * 1024
_CONNECTIONS_MAX = 256
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}


class Transport(Protocol):
    """What the layers above need of a network: also met by the simulated one of the tests."""

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Received | Lost | NotSent: ...

    def close(self) -> None: ...


class _Progress(threading.local):
    """A thread's one attempt under way: until when, and whether a byte of it was given away."""

    deadline_s = 0.0
    is_sent = False

    def left_s(self) -> float:
        left = self.deadline_s - time.monotonic()
        if left <= 0:
            raise TimeoutError("the attempt's deadline has passed")
        return left


_progress = _Progress()


class HttpTransport:
    """HTTP/1.1 with a pool of kept-alive connections to each link; safe for threads."""

    def __init__(self, links: int = 1) -> None:
        self._adapter = _Adapter(pool_connections=max(links, 1), pool_maxsize=_CONNECTIONS_MAX, max_retries=0)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received | Lost | NotSent:
        """Sends `body` and waits for the whole reply, for `timeout_s` in all."""
        request = requests.PreparedRequest()
        request.prepare(method="POST", url=url, headers={**_HEADERS, **headers}, data=body)
        _progress.deadline_s = time.monotonic() + timeout_s
        _progress.is_sent = False
        try:
            return self._exchange(request, timeout_s)
        except Exception as fault:  # urllib3 lets a ValueError through for a chunk of -5 bytes, say
            reason = _words(fault)
            return Lost(reason) if _progress.is_sent else NotSent(reason)

    def close(self) -> None:
        """Closes the idle connections."""
        self._adapter.close()

    def _exchange(self, request: requests.PreparedRequest, timeout_s: float) -> Received | Lost:
        response = self._adapter.send(request, stream=True, timeout=(timeout_s, timeout_s))
        try:
            body = _read_whole(response)
        except BaseException:
            response.raw.close()
            raise
        if isinstance(body, Lost):
            response.raw.close()
            return body
        response.raw.release_conn()
        headers = response.headers
        return Received(response.status_code, body, headers.get("Retry-After"), headers.get("Idempotent-Replayed"))


def _read_whole(response: requests.Response) -> bytes | Lost:
    """The body; one that is shorter than announced raises urllib3's IncompleteRead."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
        chunks.append(chunk)
        size += len(chunk)
        if size > REPLY_BYTES_MAX:
            return Lost(f"bad reply: over {REPLY_BYTES_MAX} bytes")
    return b"".join(chunks)


def _words(fault: BaseException) -> str:
    """What happened, in the few words that an `Attempt` lists."""
    cause: Any = fault
    for _ in range(8):
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        if not isinstance(inner, BaseException):
            break
        cause = inner
    text = f"{type(fault).__name__} {type(cause).__name__} {cause}".lower()
    for sign, words in _SIGNS.items():
        if sign in text:
            return words
    return "connection lost"


_SIGNS = {
    "nameresolution": "the host name is unknown",
    "refused": "connection refused",
    "timeout": "timed out",
    "timed out": "timed out",
    "incompleteread": "bad reply: cut",
    "invalidchunk": "bad reply: cut",
    "valueerror": "bad reply: not HTTP",
    "badstatusline": "bad reply: not HTTP",
    "newconnection": "no connection",
    "ssl": "TLS failed",
}


class _TimedReader(io.RawIOBase):
    """Reads from the socket, each time with what is left of the attempt's deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_progress.left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """A connected socket, plain or TLS, that obeys the attempt's deadline and notes that something was sent."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(_progress.left_s())
        _progress.is_sent = True
        self._sock.sendall(data)

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_TimedReader(self._sock))


def _timed(sock: Any) -> Any:
    return _TimedSocket(sock)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _timed(self.sock)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _timed(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """requests' adapter, with the timed socket under it."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
