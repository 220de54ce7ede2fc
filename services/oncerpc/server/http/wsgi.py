"""The endpoint as WSGI, for Flask's test client or another server: a thread for each request reads, waits, answers.

It stands in front of Flask (Flask's documented `app.wsgi_app` hook), because a Flask view costs several times the call
itself; every other path goes on to Flask.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from oncerpc.server.http.endpoint import PATH, Head, HttpError, HttpReply, admit, body_cut
from oncerpc.server.http.exchange import Exchange, ServerContext

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["DROP_STATUS", "WsgiEndpoint", "read_head"]

DROP_STATUS = "599 Dropped"
"""Where a reply is dropped: WSGI has no way to close a connection without one."""

_SINGLE = ("HTTP_IDEMPOTENCY_KEY", "HTTP_AUTHORIZATION", "HTTP_HOST", "CONTENT_LENGTH")
"""Read here, and may come once; of Content-Type two are not a media type anyway."""


class WsgiEndpoint:
    """`POST /rpc`; every other path is the next application's."""

    def __init__(self, served: ServerContext, otherwise: WSGIApplication) -> None:
        self._context = served
        self._otherwise = otherwise

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return self._otherwise(environ, start_response)
        reply = self._reply(environ)
        if reply.dropped:
            start_response(DROP_STATUS, [("Content-Length", "0")])
        else:
            start_response(reply.status, reply.headers)
        return [reply.body]

    def _reply(self, environ: WSGIEnvironment) -> HttpReply:
        try:
            head = read_head(environ)
            caller = admit(self._context.config, head, time.monotonic())
            body = _body(environ["wsgi.input"], int(head.length or 0))
        except HttpError as error:
            return error.reply()
        return Exchange(self._context, body, caller).answer()


def read_head(environ: WSGIEnvironment) -> Head:
    """Raises HttpError: WSGI joins a header that comes twice by a comma, so what has one cannot be told from two."""
    get = environ.get
    for name in _SINGLE:
        if "," in get(name, ""):
            raise HttpError("400 Bad Request", f"{name} came twice, or has a comma; over WSGI it may not")
    return Head(
        environ["REQUEST_METHOD"],
        get("CONTENT_LENGTH"),
        get("CONTENT_TYPE", ""),
        get("HTTP_AUTHORIZATION", ""),
        get("HTTP_IDEMPOTENCY_KEY"),
        get("HTTP_ONCERPC_ATTEMPT"),
        get("HTTP_TRACEPARENT"),
    )


def _body(stream: Any, length: int) -> bytes:
    """The whole body. Raises HttpError."""
    body: bytes = stream.read(length)
    if len(body) != length:
        raise body_cut()
    return body
