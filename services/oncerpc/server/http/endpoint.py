"""The endpoint (step 5): the HTTP rules of `/rpc`, the same for both server models.

`request` reads requests for both, and asks here what it may read (`admit`), and how an answer or a refusal looks in
HTTP; `wsgi` asks the same for Flask. Pure: no socket, no thread, no clock. Nothing
runs unless the whole body arrived: half a request, as a cut link leaves it, is refused.
"""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

from werkzeug.http import parse_options_header

from oncerpc.server.config import Config
from oncerpc.server.rpc.dispatcher import Answer, Caller
from oncerpc.wire.errors import IdentityReused, InternalError, InvalidRequest, Overloaded
from oncerpc.wire.identity import KEY_LENGTH_MAX, is_idempotency_key
from oncerpc.wire.jsonrpc import encode_reply, failure

__all__ = ["DRAIN_BYTES_MAX", "PATH", "Head", "HttpError", "HttpReply", "admit", "body_cut", "failed", "reply"]

PATH = "/rpc"
DRAIN_BYTES_MAX = 64 * 1024 * 1024
"""How much of a refused body is read and thrown away, so that the client gets to see the refusal."""
RETRY_AFTER_S = 1
_JSON_TYPES = ("application/json", "application/json-rpc", "application/jsonrequest")


class Head(NamedTuple):
    """What the rules look at in a request's head; None or empty: the header was not there."""

    verb: str
    length: str | None
    content_type: str
    authorization: str
    idempotency_key: str | None
    attempt: str | None = None
    traceparent: str | None = None


class HttpReply(NamedTuple):
    """What goes back. `status` has code and reason; of `dropped` not a byte goes back, the connection is closed."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes
    dropped: bool = False


class HttpError(Exception):
    """Refused before there was a call. With `closes` nothing that comes behind it can be understood."""

    def __init__(self, status: str, why: str, *headers: tuple[str, str], closes: bool = False) -> None:
        super().__init__(why)
        self.status = status
        self.headers = list(headers)
        self.closes = closes

    def reply(self) -> HttpReply:
        """Its body is a JSON-RPC error all the same, and definite: nothing ran."""
        error = InvalidRequest(str(self), http_status=int(self.status.partition(" ")[0]))
        return _with_body(self.status, encode_reply(None, failure(error)), *self.headers)


def body_cut() -> HttpError:
    """The client closed, or was cut off, before the whole body came."""
    return HttpError("400 Bad Request", "the body was cut", closes=True)


def admit(config: Config, head: Head, arrived_s: float) -> Caller:
    """Who calls; from here on the body may be read, `head.length` bytes of it. Raises HttpError."""
    scope = _scope(config, head)
    key = head.idempotency_key
    if key is not None and not is_idempotency_key(key):
        raise HttpError("400 Bad Request", f"an Idempotency-Key has 1 to {KEY_LENGTH_MAX} visible ASCII characters")
    if not head.length or not head.length.isdecimal():
        raise HttpError("411 Length Required", "the request needs a Content-Length", closes=True)
    if int(head.length) > config.body_bytes_max:
        limit = config.body_bytes_max
        raise HttpError("413 Content Too Large", f"a body may have {limit} bytes")
    if not _is_json(head.content_type):
        raise HttpError("415 Unsupported Media Type", "the content type must be application/json, in UTF-8")
    return Caller(scope, key, arrived_s, head.attempt, head.traceparent)


def reply(answer: Answer, *, keyed: bool) -> HttpReply:
    """An answer in HTTP. `keyed`: the request had an Idempotency-Key."""
    body = answer.body
    if answer.dropped:
        return HttpReply("", [], b"", dropped=True)
    if body is None:
        return HttpReply("204 No Content", [], b"")
    if answer.refusal == Overloaded.name:
        return _with_body("503 Service Unavailable", body, ("Retry-After", str(RETRY_AFTER_S)))
    if answer.refusal == IdentityReused.name and keyed:
        return _with_body("422 Unprocessable Content", body)
    if keyed and answer.replayed:
        return _with_body("200 OK", body, ("Idempotent-Replayed", "true"))
    return _with_body("200 OK", body)


def failed(status: str = "200 OK") -> HttpReply:
    """The reply when the server itself failed; its log has the reason. `status`: 200 for a call, 500 for a page."""
    return _with_body(status, encode_reply(None, failure(InternalError())))


def _scope(config: Config, head: Head) -> bytes:
    """What stands for the caller's token. Raises HttpError for a wrong method or token."""
    if head.verb != "POST":
        raise HttpError("405 Method Not Allowed", f"{PATH} takes POST", ("Allow", "POST"))
    if not config.tokens:
        return b""
    kind, _, token = head.authorization.partition(" ")
    digest = hashlib.sha256(token.strip().encode("latin-1")).digest()
    if kind.lower() != "bearer" or digest not in config.tokens:
        raise HttpError("401 Unauthorized", "a bearer token is needed", ("WWW-Authenticate", "Bearer"))
    return digest[:8]


@functools.lru_cache(maxsize=64)  # clients send one or two, over and over
def _is_json(content_type: str) -> bool:
    kind, parameters = parse_options_header(content_type)
    return kind.lower() in _JSON_TYPES and parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")


def _with_body(status: str, body: bytes, *headers: tuple[str, str]) -> HttpReply:
    return HttpReply(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers], body)
