"""HTTP to one etcd member (step 10): one POST with one deadline, on connections that are kept.

`http.client` and not `requests`: a commit waits for every POST, and this takes a tenth of the time. No retries, no
redirects, no proxies from the environment: what is to be tried again is decided by who knows whether it may
(`etcd_client`).
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import time
from collections.abc import Mapping

from oncekv.server.engine.storage.etcd_errors import EtcdLost, EtcdUnreachable
from oncekv.server.engine.storage.etcd_url import Endpoint

__all__ = ["Member"]

CONNECTIONS_KEPT = 8
CONNECT_MAX_S = 1.0
REPLY_BYTES_MAX = 256 * 1024 * 1024
_PORTION = 1024 * 1024


class Member:
    """One member's client address. Safe for threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[http.client.HTTPConnection] = []

    def post(self, path: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> tuple[int, bytes]:
        """Status and body. Raises EtcdUnreachable while nothing was sent, and EtcdLost after that."""
        connection = self._connection(deadline_s)
        try:
            connection.sock.settimeout(_left_s(deadline_s))
            connection.request("POST", path, body, dict(headers))
            status, answer = _reply(connection, deadline_s)
        except (OSError, http.client.HTTPException, EtcdLost) as error:
            connection.close()
            raise EtcdLost(f"{self._endpoint} did not answer ({_cause(error)})") from None
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None and len(self._idle) < CONNECTIONS_KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return status, answer

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    def _connection(self, deadline_s: float) -> http.client.HTTPConnection:
        """A kept one that the member has not closed meanwhile, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if not _is_readable(connection.sock):
                return connection
            connection.close()  # nothing is owed to us, so this is the end, or noise
        connection = http.client.HTTPConnection(*self._endpoint, timeout=min(CONNECT_MAX_S, _left_s(deadline_s)))
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise EtcdUnreachable(f"{self._endpoint} cannot be reached ({_cause(error)})") from None
        return connection


def _reply(connection: http.client.HTTPConnection, deadline_s: float) -> tuple[int, bytes]:
    sock = connection.sock
    sock.settimeout(_left_s(deadline_s))
    with contextlib.closing(connection.getresponse()) as response:
        parts, size = [], 0
        while part := response.read(_PORTION):
            parts.append(part)
            size += len(part)
            if size > REPLY_BYTES_MAX or time.monotonic() > deadline_s:
                raise EtcdLost("its reply has no end")
        if response.length:  # the member died in the middle of it
            raise EtcdLost("its reply was cut")
        return response.status, b"".join(parts)


def _left_s(deadline_s: float) -> float:
    return max(0.001, deadline_s - time.monotonic())


def _is_readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _cause(error: Exception) -> str:
    """A few words: why it came to nothing."""
    if isinstance(error, TimeoutError):
        return "time is up"
    text = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    return " ".join(text.split())[:100]
