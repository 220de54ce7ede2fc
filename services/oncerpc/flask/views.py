"""Ordinary views: what they write and the record of their reply are one transaction.

below 400    committed, with the reply as its record
400 to 499   what was written is rolled back; the reply is recorded and replayed
500 and up,  rolled back, not recorded: the next attempt runs it again
exceptions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import msgspec
from flask import Flask, Request, Response, current_app, request
from sqlalchemy import Connection
from sqlalchemy.exc import InvalidRequestError
from werkzeug.exceptions import HTTPException, InternalServerError

from oncerpc.flask.idempotency_key import KeyMalformed, read_key, request_fingerprint
from oncerpc.flask.problems import problem
from oncerpc.server.dedup.base import IdempotencyKey
from oncerpc.server.log import log
from oncerpc.server.metrics import Metrics
from oncerpc.server.records import StoreFailed, StoreRefused
from oncerpc.server.sql.database import StillRunning
from oncerpc.server.sql.executor import Executed, Executor
from oncerpc.server.sql.records import SqlRecords
from oncerpc.server.sql.transaction import Transaction, TransactionEnded
from oncerpc.wire.errors import IdentityReused, Overloaded
from oncerpc.wire.identity import NO_META
from oncerpc.wire.jsonrpc import Reply

__all__ = ["CURRENT", "VERBS", "ViewPolicy", "Views", "unpack_response"]

VERBS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Those that take a key; others pass through untouched."""
CURRENT: ContextVar[tuple[Flask, Connection] | None] = ContextVar("oncerpc_tx", default=None)
"""The view that is running: whose it is, and its transaction."""
_REPLAYED_HEADERS = ("Content-Type", "Content-Encoding", "Location", "ETag")
_FAILED_FROM, _ERROR_FROM = 400, 500


class ViewPolicy(NamedTuple):
    """What `idempotent` was given."""

    required: bool
    ttl_ms: int | None
    replay_headers: Sequence[str]
    replayed: frozenset[str]
    """Names of the headers that a replay has, in lower case; cookies are the first caller's alone."""

    @classmethod
    def of(cls, required: bool, ttl_s: float | None, replay_headers: Sequence[str]) -> ViewPolicy:
        """With what follows from it."""
        replayed = frozenset(name.lower() for name in (*_REPLAYED_HEADERS, *replay_headers)) - {"set-cookie"}
        ttl_ms = None if ttl_s is None else max(1, int(ttl_s * 1000))
        return cls(required, ttl_ms, tuple(replay_headers), replayed)


class _NotRecorded(Exception):
    """The view's reply is an error of the server: what it wrote is rolled back, and the reply goes as it is."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class _Streamed(RuntimeError):
    """A reply whose body is made while it is sent cannot be recorded."""


class Views:
    """Runs the views of one application."""

    def __init__(
        self,
        app: Flask,
        executor: Executor,
        metrics: Metrics,
        scope_of: Callable[[], str],
        key_ttl_ms: int,
        policy_path: str,
        *,
        ignores_keys: bool = False,
    ) -> None:
        self._app = app
        self._ignores_keys = ignores_keys
        self._executor = executor
        self._metrics = metrics
        self._scope_of = scope_of
        self._key_ttl_ms = key_ttl_ms
        self._policy_path = policy_path

    def run(self, asked: Request, label: str, view: Callable[[], Any], name: str, policy: ViewPolicy) -> Response:
        """The reply to this request. label: what the metrics call it. name: what the log calls the view."""
        self._metrics.attempts.labels(label).inc()
        key = None
        if not self._ignores_keys:
            try:
                key = read_key(asked)
            except KeyMalformed as error:
                return self._refuse("key-malformed", str(error))
            if key is None and policy.required:
                return self._refuse("key-missing", "send the header Idempotency-Key with a value of your own choice")
        work = _ViewWork(self._app, view, label, name, policy)
        if key is not None:
            work.key = IdempotencyKey(self._scope_of().encode(), key)
            work.fingerprint = request_fingerprint(asked)
        work.key_kept_ms = policy.ttl_ms or self._key_ttl_ms
        return self._respond(work)

    def _respond(self, work: _ViewWork) -> Response:
        try:
            done = self._executor.run(work)
        except _NotRecorded as error:
            return error.response
        except IdentityReused:
            return self._refuse("key-reused", "the key was sent before with another method, path, query or body")
        except (StillRunning, Overloaded, StoreRefused) as error:
            return self._refuse(*_not_begun(work, error))
        except StoreFailed as error:
            log.error("%s: %s", work.name, error)
            return self._refuse("outcome-unknown", "the commit got no answer")
        except (TransactionEnded, _Streamed) as error:
            log.error("%s (%s) was rolled back: %s", work.name, work.view_name, error)
            return self._refuse("failed", "the server's log has the reason")
        return self._response(work, done)

    def _response(self, work: _ViewWork, done: Executed) -> Response:
        if done.replayed:
            self._metrics.replays.labels(work.name).inc()
        elif not done.reply.failed:
            self._metrics.effects.labels(work.name).inc()
        if done.replayed or work.response is None:
            response = unpack_response(done.reply.body)
            if done.replayed:
                response.headers["Idempotent-Replayed"] = "true"
            return response
        self._executor.passed_commit(work)
        return work.response

    def _refuse(self, name: str, detail: str) -> Response:
        self._metrics.refusals.labels("identity_reused" if name == "key-reused" else name.replace("-", "_")).inc()
        return problem(name, detail, self._policy_path)


class _ViewWork:
    """One request of a view as what the executor runs."""

    meta = NO_META
    asks_for_a_session = False
    may_be_refused = True
    fingerprint = b""
    key_kept_ms = 0

    def __init__(self, app: Flask, view: Callable[[], Any], name: str, view_name: str, policy: ViewPolicy) -> None:
        self._app = app
        self._view = view
        self._policy = policy
        self.name = name
        self.view_name = view_name
        self.key: IdempotencyKey | None = None
        self.response: Response | None = None

    @property
    def keys(self) -> Iterable[str]:
        return () if self.key is None else (self.key.key,)

    def begin(self) -> None:
        """A view has no deadline of its own."""

    def run(self, tx: Transaction, records: SqlRecords) -> Reply:  # noqa: ARG002 as all works
        held = CURRENT.set((self._app, tx))
        try:
            response = self._response(tx)
        finally:
            CURRENT.reset(held)
        if response.is_streamed or response.direct_passthrough:
            response.close()
            raise _Streamed("a streamed response cannot be recorded; build its body first, or take the decorator off")
        if response.status_code >= _ERROR_FROM:
            raise _NotRecorded(response)
        self.response = response
        return Reply(response.status_code >= _FAILED_FROM, _pack(response, self._policy.replayed))

    def _response(self, tx: Transaction) -> Response:
        """The view's reply, or what the application's own handlers make of its exception."""
        try:
            return self._app.make_response(self._view())
        except Exception as error:
            if isinstance(error, TransactionEnded) or tx.conflict is not None:
                raise
            if tx.ended_by and isinstance(error, InvalidRequestError):
                raise
            try:
                answer = self._app.handle_user_exception(error)
            except Exception as unhandled:
                return self._reply_of_500(unhandled)
            if isinstance(answer, HTTPException):  # nobody handles it: its own page, not as a WSGI application
                answer = answer.get_response(request.environ)
            return self._app.make_response(answer)

    def _reply_of_500(self, error: Exception) -> Response:
        """What the application's handler of 500 makes of it, where that is below 500. Else the error goes on."""
        propagates = self._app.config["PROPAGATE_EXCEPTIONS"]
        if propagates if propagates is not None else self._app.testing or self._app.debug:
            raise error
        wrapped = InternalServerError(original_exception=error)
        handler = self._app._find_error_handler(wrapped, request.blueprints)
        if handler is None:
            raise error
        response = self._app.make_response(self._app.ensure_sync(handler)(wrapped))
        if response.status_code >= _ERROR_FROM:
            raise error
        self._app.logger.error("%s was answered with %s", self.name, response.status, exc_info=error)
        return response


def _not_begun(work: _ViewWork, error: Exception) -> tuple[str, str]:
    """The problem, and its detail, where nothing was done and the same request may be sent again."""
    if isinstance(error, StoreRefused):
        log.warning("%s was refused: %s", work.name, error)
        return "database-away", "the database takes no transaction now"
    if isinstance(error, StillRunning) and error.is_duplicate and work.key is not None:
        return "still-running", "the first request has not ended yet; ask again for its reply"
    return "busy", "another transaction was in the way for too long"


def _pack(response: Response, replayed: frozenset[str]) -> bytes:
    """What a replay will need of a response."""
    headers = [(name, value) for name, value in response.headers if name.lower() in replayed]
    return msgspec.msgpack.encode((response.status_code, headers, response.get_data()))


def unpack_response(recorded: bytes) -> Response:
    """What `_pack` was given, as a response."""
    status, headers, body = msgspec.msgpack.decode(recorded, type=tuple[int, list[tuple[str, str]], bytes])
    response = current_app.response_class(body, status)
    del response.headers["Content-Type"]
    for name, value in headers:
        response.headers.add(name, value)
    return response
