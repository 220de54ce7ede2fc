"""A duplicate, a lost reply, a crash: what a request may meet, in an application's own tests.

The application runs in the test's process, so a crash is acted: at the chosen moment the request ends, the transaction
is rolled back as the database does when a process dies, and the caller gets no reply. The chaos scenarios of this
project kill real processes.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from flask import Flask
from werkzeug.test import TestResponse, run_wsgi_app

from oncerpc.flask.extension import EXTENSION, State

if TYPE_CHECKING:
    from flask.testing import FlaskClient

__all__ = ["Crashed", "Point", "ReplyLost", "SentTwice", "crash_at", "lost_reply", "sent_twice", "state_of"]

Point = Literal["before_execute", "after_execute", "after_commit"]
_POINTS = ("before_execute", "after_execute", "after_commit")
KEY_HEADER = "Idempotency-Key"


class ReplyLost(Exception):
    """The request was handled; its reply did not arrive."""


class Crashed(Exception):
    """The server died while it handled the request; no reply arrived. `point`: where."""

    def __init__(self, point: str) -> None:
        super().__init__(f"the server crashed at {point}")
        self.point = point


class _Crash(BaseException):
    """No `except Exception` of an application outlives a process that is killed, so none may catch this."""


class SentTwice:
    """A test client whose every request is sent twice under one Idempotency-Key, made where none is given.

    It returns the second response; the first is its attribute `first`.
    """

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def __enter__(self) -> SentTwice:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing to end: the client is its owner's."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """As the test client's."""
        headers = dict(kwargs.pop("headers", None) or {})
        if KEY_HEADER.lower() not in (name.lower() for name in headers):
            headers[KEY_HEADER] = uuid.uuid4().hex
        first, second = (self._client.open(*args, headers=headers, **kwargs) for _ in range(2))
        second.first = first  # type: ignore[attr-defined]  # documented above
        return second

    def post(self, *args: Any, **kwargs: Any) -> TestResponse:
        """POST."""
        return self.open(*args, method="POST", **kwargs)

    def put(self, *args: Any, **kwargs: Any) -> TestResponse:
        """PUT."""
        return self.open(*args, method="PUT", **kwargs)

    def patch(self, *args: Any, **kwargs: Any) -> TestResponse:
        """PATCH."""
        return self.open(*args, method="PATCH", **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> TestResponse:
        """DELETE."""
        return self.open(*args, method="DELETE", **kwargs)


def sent_twice(client: FlaskClient) -> SentTwice:
    """The client, but every request is sent twice, as a retry whose first reply was not needed after all."""
    return SentTwice(client)


@contextlib.contextmanager
def lost_reply(app: Flask) -> Iterator[None]:
    """Requests inside are handled to their end, and then raise ReplyLost from the test client: no reply arrived."""
    handle = app.wsgi_app

    def lose(environ: Any, start_response: Any) -> Any:  # noqa: ARG001 what WSGI passes
        run_wsgi_app(handle, environ, buffered=True)
        raise ReplyLost("the request was handled, and its reply was lost")

    app.wsgi_app = lose  # type: ignore[method-assign]  # Flask's own hook
    try:
        yield
    finally:
        app.wsgi_app = handle  # type: ignore[method-assign]


@contextlib.contextmanager
def crash_at(app: Flask, point: Point) -> Iterator[None]:
    """Requests inside die at this point, and raise Crashed from the test client; the application serves on.

    before_execute: nothing was done. after_execute: the handler has run, and nothing is committed. after_commit: effect
    and record are committed, and no reply is sent. A request that is not retry-safe passes none of them.
    """
    if point not in _POINTS:
        raise ValueError(f"{point!r} must be one of: {', '.join(_POINTS)}")
    executor, handle = state_of(app).executor, app.wsgi_app

    def crash(passed: str, _name: str, _keys: Iterable[str]) -> None:
        if passed == point:
            raise _Crash(point)

    def serve(environ: Any, start_response: Any) -> Any:
        try:
            return handle(environ, start_response)
        except _Crash:
            raise Crashed(point) from None

    executor.observers.append(crash)
    app.wsgi_app = serve  # type: ignore[method-assign]
    try:
        yield
    finally:
        executor.observers.remove(crash)
        app.wsgi_app = handle  # type: ignore[method-assign]


def state_of(app: Flask) -> State:
    """What OnceRPC keeps of an application. Raises AssertionError where there is none."""
    found: State | None = app.extensions.get(EXTENSION)
    if found is None:
        raise AssertionError(f"the application {app.name} has no OnceRPC: call OnceRPC(app, engine=…) first")
    return found
