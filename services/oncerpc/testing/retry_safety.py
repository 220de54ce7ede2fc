"""One assertion: a view or method has one effect, whatever its requests meet."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any, NoReturn

from flask import Flask
from sqlalchemy.pool import SingletonThreadPool
from werkzeug.test import EnvironBuilder, TestResponse

from oncerpc.testing.faults import Crashed, Point, ReplyLost, crash_at, lost_reply, state_of

__all__ = ["assert_retry_safe"]

_OUTBOX = (
    "What a rollback cannot undo (mail, a payment elsewhere) belongs into an outbox table, written through the "
    "transaction and worked off later."
)
_WRITE_THROUGH = "Write through once.tx (a method: its tx), not through a session or connection of its own. " + _OUTBOX
_DECORATE = "Is @once.idempotent below @app.post(…), or the method made by @once.method?"


def assert_retry_safe(app: Flask, request: Any, *, effects: Callable[[], Any]) -> None:
    """Send a request under every fault, each time with a fresh Idempotency-Key, and see that it has one effect.

    request: a function of the test client that sends it; or the arguments of `client.open` as a mapping (`method`,
    `path`, `json`, …); or werkzeug's EnvironBuilder. effects: returns what has happened so far, as anything that can be
    compared (a count of rows, a list of what a fake mail server got).

    The faults: sent twice, one after the other and at once; the reply lost; a crash before the handler, after it, and
    after the commit, each followed by a retry. Raises AssertionError with what happened, and what to change.
    """
    trial = _Trials(app, request, effects)
    trial.sent_twice()
    trial.crash_before("before_execute", "Something is done before the handler: by a hook, or a decorator above it.")
    trial.crash_before("after_execute", "It was there although the transaction was rolled back. " + _WRITE_THROUGH)
    trial.crash_after_commit()
    trial.lost_reply()
    if not isinstance(state_of(app).executor.database.engine.pool, SingletonThreadPool):  # a database for each thread
        trial.at_once()


class _Trials:
    def __init__(self, app: Flask, request: Any, effects: Callable[[], Any]) -> None:
        state_of(app)
        self._app = app
        self._request = request
        self._effects = effects
        self._one: float | None = None
        """By how much one run changes the effects, where that can be counted."""

    def sent_twice(self) -> None:
        """The plain case: it works, it has an effect, and the second attempt gets the first one's reply."""
        before = self._effects()
        with self._key():
            first = self._send()
            if first.status_code >= 400:
                self._fail("sent once", f"the reply was {first.status}", "Give a request that succeeds.")
            after = self._effects()
            if after == before:
                self._fail("sent once", "effects() did not change", "Have it count what the request does.")
            self._one = _difference(before, after)
            self._retry("sent twice", first, after)

    def crash_before(self, point: Point, advice: str) -> None:
        """A crash before the commit leaves nothing, and the retry is the first run."""
        name = f"crash at {point}, then a retry"
        before = self._effects()
        with self._key():
            self._crash(point, name)
            if self._effects() != before:
                self._fail(name, "the effect was there after the crash", advice)
            reply = self._send()
            if reply.status_code >= 400:
                self._fail(name, f"the retry was answered {reply.status}", _DECORATE)
            self._check_one(name, before)

    def crash_after_commit(self) -> None:
        """A crash after the commit leaves effect and record; the retry is a replay."""
        self._died_after_commit("crash at after_commit, then a retry", lambda name: self._crash("after_commit", name))

    def lost_reply(self) -> None:
        """The same for a reply that was lost."""

        def lose(_name: str) -> None:
            with contextlib.suppress(ReplyLost), lost_reply(self._app):
                self._send()

        self._died_after_commit("reply lost, then a retry", lose)

    def at_once(self) -> None:
        """Two attempts at the same moment: one runs, and the other waits for it, or is told to come again."""
        name = "sent twice at once"
        before = self._effects()
        replies: list[TestResponse] = []
        with self._key():
            threads = [threading.Thread(target=lambda: replies.append(self._send())) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            statuses = sorted(reply.status_code for reply in replies)
            if not statuses or statuses[0] >= 400 or any(status >= 400 and status != 409 for status in statuses):
                self._fail(name, f"the replies were {statuses}", "See the log for the one that failed.")
            self._check_one(name, before)

    def _died_after_commit(self, name: str, die: Callable[[str], None]) -> None:
        before = self._effects()
        with self._key():
            die(name)
            after = self._effects()
            if after == before:
                self._fail(name, "the effect was lost", _WRITE_THROUGH)
            self._retry(name, None, after)
            self._check_one(name, before)

    def _retry(self, name: str, first: TestResponse | None, after: Any) -> None:
        again = self._send()
        if self._effects() != after:
            self._fail(name, "it ran twice", _DECORATE)
        if not _is_replay(again):
            self._fail(name, "the second attempt was not answered from a record", _DECORATE)
        if first is not None and (first.status_code, _content(first)) != (again.status_code, _content(again)):
            self._fail(name, "the replay differs from the first reply", "Build the reply in the view, not in a hook.")

    def _check_one(self, name: str, before: Any) -> None:
        after = self._effects()
        if after == before:
            self._fail(name, "the effect was lost", _WRITE_THROUGH)
        if self._one is not None and _difference(before, after) != self._one:
            self._fail(name, f"the effect was {_difference(before, after)} instead of {self._one}", _WRITE_THROUGH)

    def _crash(self, point: Point, name: str) -> None:
        try:
            with crash_at(self._app, point):
                self._send()
        except Crashed:
            return
        self._fail(name, f"the request never came to {point}", _DECORATE)

    @contextlib.contextmanager
    def _key(self) -> Iterator[None]:
        """Requests inside have one key, whatever they say themselves."""
        key, handle = uuid.uuid4().hex, self._app.wsgi_app

        def keyed(environ: Any, start_response: Any) -> Any:
            return handle({**environ, "HTTP_IDEMPOTENCY_KEY": key}, start_response)

        self._app.wsgi_app = keyed  # type: ignore[method-assign]  # Flask's own hook
        try:
            yield
        finally:
            self._app.wsgi_app = handle  # type: ignore[method-assign]

    def _send(self) -> TestResponse:
        client = self._app.test_client()
        if isinstance(self._request, EnvironBuilder):
            return client.open(self._request.get_environ())
        if isinstance(self._request, Mapping):
            return client.open(**self._request)
        if callable(self._request):
            reply: TestResponse = self._request(client)
            return reply
        raise TypeError("request must be a function of the test client, a mapping, or an EnvironBuilder")

    def _fail(self, name: str, what: str, advice: str) -> NoReturn:
        raise AssertionError(f"not retry-safe: {name}: {what}. {advice}")


def _difference(before: Any, after: Any) -> float | None:
    if isinstance(before, int | float) and isinstance(after, int | float):
        return after - before
    if isinstance(before, Sized) and isinstance(after, Sized):
        return len(after) - len(before)
    return None


def _is_replay(reply: TestResponse) -> bool:
    return reply.headers.get("Idempotent-Replayed") == "true"


def _content(reply: TestResponse) -> Any:
    """The reply's content, without the mark that a JSON-RPC replay has in its body."""
    content = reply.get_json(silent=True) if reply.is_json else reply.data
    if isinstance(content, dict) and content.get("jsonrpc") == "2.0":
        content = content.get("result", content.get("error"))
        content = (
            {name: value for name, value in content.items() if name != "_meta"}
            if isinstance(content, dict)
            else content
        )
    return content
