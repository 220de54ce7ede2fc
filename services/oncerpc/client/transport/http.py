"""One POST with one deadline: connecting, sending, and every byte of the reply are done by then or the attempt is lost.

`requests` is used by its adapter alone, the part of it that threads may share: no cookies, no proxies or credentials
from the environment, no redirects, and no retry of its own, for a retry that the policy does not know of would be an
attempt that nobody counts. What is the same for every request to a link is prepared once.

Place on the way: transport (3), between retry (2) and the link (4), over `connection_pool`. Guarantee: `NotSent` only
if no byte was written. Limit: that of `connection_pool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.client import SWITCHING_PROTOCOLS
from typing import Any, Protocol

import requests

from oncerpc.client.transport.attempt_result import Lost, NotSent
from oncerpc.client.transport.connection_pool import CONNECTIONS_MAX, Adapter, attempt
from oncerpc.client.transport.reply import Received

__all__ = ["REPLY_BYTES_MAX", "HttpTransport", "Transport"]

REPLY_BYTES_MAX = 64 * 1024 * 1024
"""The largest reply that is read: a result of 4 MiB, each character escaped, still fits; a flood does not."""

_CHUNK_BYTES = 64 * 1024
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}


class Transport(Protocol):
    """What the layers above need of a network: also met by the simulated one of the tests."""

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Received | Lost | NotSent: ...

    def close(self) -> None: ...


class HttpTransport:
    """HTTP/1.1 over connections that are kept, at most `connections_max` to each link; safe for threads."""

    def __init__(self, links: int = 1, connections_max: int = CONNECTIONS_MAX) -> None:
        self._adapter = Adapter(max(links, 1), connections_max)
        self._prepared: dict[str, requests.PreparedRequest] = {}

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received | Lost | NotSent:
        """Sends `body` and waits for the whole reply, for `timeout_s` in all."""
        request = self._request(url, body, headers)
        attempt.begin(timeout_s)
        try:
            return self._exchange(request, timeout_s)
        except Exception as fault:  # urllib3 lets a ValueError through for a chunk of -5 bytes, say
            reason = _words(fault)
            return Lost(reason) if attempt.is_sent else NotSent(reason)

    def close(self) -> None:
        """Closes the idle connections; one in use is closed when its attempt ends, and a later attempt is not sent."""
        self._adapter.close()

    def _request(self, url: str, body: bytes, headers: Mapping[str, str]) -> requests.PreparedRequest:
        """The link's request with this body."""
        prepared = self._prepared.get(url)
        if prepared is None:
            prepared = self._prepared[url] = requests.Request("POST", url, _HEADERS).prepare()
        request = requests.PreparedRequest()
        request.method, request.url, request.body = prepared.method, prepared.url, body
        all_headers: Any = {**prepared.headers, **headers, "Content-Length": str(len(body))}
        request.headers = all_headers
        return request

    def _exchange(self, request: requests.PreparedRequest, timeout_s: float) -> Received | Lost:
        reply = self._adapter.send(request, stream=True, timeout=(timeout_s, timeout_s)).raw
        try:
            body = _read_whole(reply) if reply.status != SWITCHING_PROTOCOLS else Lost("bad reply: HTTP 101")
        except BaseException:
            _give_up(reply)
            raise
        if isinstance(body, Lost):
            _give_up(reply)
            return body
        reply.release_conn()
        headers = reply.headers
        return Received(reply.status, body, headers.get("Retry-After"), headers.get("Idempotent-Replayed"))


def _give_up(reply: Any) -> None:
    """Closes the connection, on which more of the reply may come, and gives its place to the next."""
    reply.close()
    reply.release_conn()


def _read_whole(reply: Any) -> bytes | Lost:
    """The body; one that is shorter than announced raises urllib3's IncompleteRead."""
    if reply.length_remaining is not None and reply.length_remaining <= REPLY_BYTES_MAX:
        return bytes(reply.read(decode_content=False))
    chunks: list[bytes] = []
    size = 0
    while chunk := reply.read(_CHUNK_BYTES, decode_content=False):
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
    "emptypool": "no connection came free",
    "closedpool": "the client was closed",
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
