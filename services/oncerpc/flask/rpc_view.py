"""`POST /rpc` in Flask: the request's bytes through the same rules, dispatch and gate as everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Response, request
from werkzeug.exceptions import HTTPException

from oncerpc.server.http.endpoint import HttpError, HttpReply, admit, body_cut
from oncerpc.server.http.exchange import Exchange, ServerContext
from oncerpc.server.http.wsgi import DROP_STATUS, read_head

__all__ = ["serve_rpc"]


def serve_rpc(context: ServerContext, scope_of: Callable[[], str], policy_path: str) -> Response:
    """The reply to the present request."""
    try:
        head = read_head(request.environ)
        caller = admit(context.config, head, time.monotonic())
        body = _body(int(head.length or 0))
    except HttpError as error:
        return _response(error.reply(), policy_path)
    if caller.key is not None:
        caller = caller._replace(scope=scope_of().encode())
    return _response(Exchange(context, body, caller).answer(), policy_path)


def _body(length: int) -> bytes:
    """Raises HttpError."""
    try:
        body = request.get_data(cache=True)
    except HTTPException as error:
        raise HttpError(f"{error.code} {error.name}", error.description or error.name) from None
    if len(body) != length:
        raise body_cut()
    return body


def _response(reply: HttpReply, policy_path: str) -> Response:
    if reply.dropped:
        return Response(b"", DROP_STATUS)
    response = Response(reply.body, reply.status)
    response.headers.clear()
    for name, value in reply.headers:
        response.headers.add(name, value)
    if response.status_code >= 400:
        response.headers["Link"] = f'<{request.root_path}{policy_path}>; rel="help"'
    return response
