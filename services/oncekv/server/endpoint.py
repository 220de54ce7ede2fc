"""The endpoint (5): HTTP to envelope and back, for `/rpc` alone.

It stands as WSGI in front of Flask (Flask's documented `app.wsgi_app` hook), because a Flask view costs several times
the call itself; every other path goes on to Flask. Nothing runs unless the whole body arrived: half a request, as a
cut link leaves it, is refused.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from oncekv.server.config import Config
from oncekv.server.dispatch import Answer, Caller, Dispatch, KeyMisplaced
from oncekv.server.log import log
from oncekv.wire.envelope import encode_reply, failure
from oncekv.wire.errors import IdentityReused, InternalError, InvalidRequest, Overloaded
from oncekv.wire.identity import KEY_LENGTH_MAX, is_idempotency_key

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["DROP_STATUS", "Endpoint"]

Headers = list[tuple[str, str]]

DROP_STATUS = "599 Dropped"
"""Never seen by a client: with `--failpoints`, the door closes the connection in its place."""
RETRY_AFTER_S = 1
_JSON_TYPES = ("application/json", "application/json-rpc", "application/jsonrequest")
_READ_BYTES = 64 * 1024
_DRAIN_BYTES_MAX = 64 * 1024 * 1024


class _HttpError(Exception):
    """Refused before there was a call."""

    def __init__(self, status: str, why: str, *headers: tuple[str, str]) -> None:
        super().__init__(why)
        self.status = status
        self.headers = list(headers)


class Endpoint:
    """`POST /rpc`; every other path is the next application's."""

    def __init__(self, config: Config, dispatch: Dispatch, otherwise: WSGIApplication) -> None:
        self._config = config
        self._dispatch = dispatch
        self._otherwise = otherwise
        self._lock = threading.Lock()
        self.calls_running = 0
        """Requests that arrived whole and were not yet answered."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/rpc":
            return self._otherwise(environ, start_response)
        arrived_s = time.monotonic()
        try:
            caller = Caller(self._scope(environ), _idempotency_key(environ), arrived_s)
            answer = self._answer(self._body(environ), caller)
        except _HttpError as error:
            return _refuse(start_response, error.status, str(error), error.headers)
        except KeyMisplaced as error:
            return _refuse(start_response, "400 Bad Request", str(error), [])
        except Exception:
            log.exception("a request failed")
            return _send(start_response, Answer(encode_reply(None, failure(InternalError()))), keyed=False)
        return _send(start_response, answer, keyed=caller.key is not None)

    def _answer(self, body: bytes, caller: Caller) -> Answer:
        with self._lock:
            self.calls_running += 1
        try:
            return self._dispatch.answer(body, caller)
        finally:
            with self._lock:
                self.calls_running -= 1

    def _scope(self, environ: WSGIEnvironment) -> bytes:
        """What stands for the caller's token. Raises _HttpError for a wrong method or token."""
        if environ["REQUEST_METHOD"] != "POST":
            raise _HttpError("405 Method Not Allowed", "/rpc takes POST", ("Allow", "POST"))
        if not self._config.tokens:
            return b""
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("latin-1")).digest()
        if kind.lower() != "bearer" or digest not in self._config.tokens:
            raise _HttpError("401 Unauthorized", "a bearer token is needed", ("WWW-Authenticate", "Bearer"))
        return digest[:8]

    def _body(self, environ: WSGIEnvironment) -> bytes:
        """The whole body. Raises _HttpError."""
        length = environ.get("CONTENT_LENGTH")
        if not length or not length.isdecimal():
            raise _HttpError("411 Length Required", "the request needs a Content-Length")
        if int(length) > self._config.body_bytes_max:
            _drain(environ["wsgi.input"], int(length))
            limit = self._config.body_bytes_max
            raise _HttpError("413 Content Too Large", f"a body may have {limit} bytes")
        body: bytes = environ["wsgi.input"].read(int(length))
        if len(body) != int(length):
            raise _HttpError("400 Bad Request", "the body was cut", ("Connection", "close"))
        if not _is_json(environ.get("CONTENT_TYPE", "")):
            raise _HttpError("415 Unsupported Media Type", "the content type must be application/json")
        return body


def _idempotency_key(environ: WSGIEnvironment) -> str | None:
    key: str | None = environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not is_idempotency_key(key):
        raise _HttpError("400 Bad Request", f"an Idempotency-Key has 1 to {KEY_LENGTH_MAX} visible ASCII characters")
    return key


def _is_json(content_type: str) -> bool:
    kind, _, parameters = content_type.partition(";")
    charset = parameters.lower().partition("charset=")[2].strip(' "')
    return kind.strip().lower() in _JSON_TYPES and charset in ("", "utf-8", "utf8")


def _drain(stream: Any, length: int) -> None:
    """Read what is still coming, so that the client gets to see the refusal and not a broken pipe."""
    left = min(length, _DRAIN_BYTES_MAX)
    while left > 0 and (chunk := stream.read(min(left, _READ_BYTES))):
        left -= len(chunk)


class _Status(NamedTuple):
    line: str
    headers: Headers


def _send(start_response: StartResponse, answer: Answer, *, keyed: bool) -> list[bytes]:
    body = answer.body
    if answer.dropped:
        start_response(DROP_STATUS, [("Content-Length", "0")])
        return [b""]
    if body is None:
        start_response("204 No Content", [])
        return [b""]
    status = _status(answer, keyed=keyed)
    start_response(
        status.line,
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *status.headers],
    )
    return [body]


def _status(answer: Answer, *, keyed: bool) -> _Status:
    if answer.refusal == Overloaded.name:
        return _Status("503 Service Unavailable", [("Retry-After", str(RETRY_AFTER_S))])
    if answer.refusal == IdentityReused.name and keyed:
        return _Status("422 Unprocessable Content", [])
    return _Status("200 OK", [("Idempotent-Replayed", "true")] if keyed and answer.replayed else [])


def _refuse(start_response: StartResponse, status: str, why: str, headers: Headers) -> list[bytes]:
    """A refusal by HTTP status; its body is a JSON-RPC error all the same, and definite: nothing ran."""
    error = InvalidRequest(why, http_status=int(status.partition(" ")[0]))
    body = encode_reply(None, failure(error))
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers])
    return [body]
