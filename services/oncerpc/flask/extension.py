"""OnceRPC, the Flask extension: what an application is given, put together.

Guarantee: what a retry-safe method or view writes through its transaction, and the dedup record of its reply, are
committed together, so every attempt under one identity has one effect and one reply. Limit: what a handler does
outside the transaction (mail, another service) is not part of it; an outbox table written through the transaction is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, ParamSpec, TypeVar, cast

from flask import Flask, Request, Response, abort, current_app, request
from sqlalchemy import Connection, Engine
from sqlalchemy.pool import QueuePool
from werkzeug.exceptions import NotFound

import oncerpc
from oncerpc.flask.commands import make_commands
from oncerpc.flask.methods import method_of
from oncerpc.flask.policy import policy_page
from oncerpc.flask.rpc_view import serve_rpc
from oncerpc.flask.setup import Settings, SetupError, open_database
from oncerpc.flask.views import CURRENT, VERBS, ViewPolicy, Views
from oncerpc.server.config import Config
from oncerpc.server.failpoints import Failpoints
from oncerpc.server.http.docs_page import docs_page
from oncerpc.server.http.exchange import ServerContext
from oncerpc.server.log import log
from oncerpc.server.metrics import Metrics
from oncerpc.server.records import StoreRefused
from oncerpc.server.rpc.dispatcher import Dispatcher
from oncerpc.server.rpc.method import Method, ServerFacts, Service
from oncerpc.server.rpc.observers import observer_of
from oncerpc.server.rpc.wiring import assemble
from oncerpc.server.sql.clock import DatabaseClock
from oncerpc.server.sql.committer import TransactionCommitter
from oncerpc.server.sql.executor import Executor
from oncerpc.server.sql.pruning import Pruner
from oncerpc.server.sql.records import SqlStatements
from oncerpc.server.sql.store import SqlStore
from oncerpc.server.watchdog import RequestsInFlight

__all__ = ["EXTENSION", "OnceRPC", "State"]

EXTENSION = "oncerpc"
P = ParamSpec("P")
R = TypeVar("R")
_RPC_VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass
class State:
    """What belongs to one application."""

    settings: Settings
    executor: Executor
    store: SqlStore
    metrics: Metrics
    context: ServerContext
    views: Views
    pruner: Pruner
    disabled: bool
    facts: ServerFacts
    methods: dict[str, Method]
    policies: dict[str, ViewPolicy] = field(default_factory=dict)


class OnceRPC:
    """Retry-safe JSON-RPC methods and views for a Flask application, in its own database.

    engine: a SQLAlchemy 2 Engine on SQLite or PostgreSQL. path: where JSON-RPC is served. scope: whose keys a request's
    are, as a function of it; the default is a hash of its Authorization header. key_ttl_s: how long an Idempotency-Key
    is remembered. on_duplicate: whether a duplicate of a request that still runs waits for it (at most wait_max_s) or
    is refused. table_prefix: of the four tables, which are made when missing.

    ONCERPC_DISABLED=1 in the environment runs every request, for tests. Raises SetupError, in one line, where the
    application cannot be set up so.
    """

    def __init__(
        self,
        app: Flask | None = None,
        engine: Engine | None = None,
        *,
        path: str = "/rpc",
        scope: Callable[[Request], str] | None = None,
        key_ttl_s: float = 86_400,
        on_duplicate: Literal["wait", "refuse"] = "wait",
        wait_max_s: float = 30,
        table_prefix: str = "once_",
    ) -> None:
        self._settings = Settings(path, scope, key_ttl_s, on_duplicate, wait_max_s, table_prefix)
        self._engine = engine
        self._methods: dict[str, Method] = {}
        self._states: weakref.WeakSet[Flask] = weakref.WeakSet()
        if app is not None:
            self.init_app(app, engine)

    def init_app(self, app: Flask, engine: Engine | None = None) -> None:
        """Set an application up: tables, routes, commands. Raises SetupError."""
        chosen = engine if engine is not None else self._engine
        if chosen is None:
            raise SetupError("OnceRPC needs the database: OnceRPC(app, engine=create_engine(…))")
        if EXTENSION in app.extensions:
            raise SetupError(f"OnceRPC: the application {app.name} has one already; a second would keep other records")
        state = _assemble(app, chosen, self._settings, self._methods)
        app.extensions[EXTENSION] = state
        self._states.add(app)
        _add_routes(app, state)
        app.cli.add_command(make_commands())
        _part_at_fork(chosen)

    @contextlib.contextmanager
    def exclusive(self, app: Flask) -> Iterator[Connection]:
        """A transaction that one process at a time has: for an application that makes its own tables when it starts."""
        state: State = app.extensions[EXTENSION]
        with state.executor.database.exclusive() as connection:
            yield connection

    @property
    def tx(self) -> Connection:
        """The transaction of the view that is running: a SQLAlchemy Connection. Raises RuntimeError elsewhere."""
        current = CURRENT.get()
        if current is None or current[0] not in self._states or current[0] is not _application():
            raise RuntimeError(
                "once.tx is the transaction of a view under @once.idempotent while it runs (POST, PUT, PATCH, DELETE); "
                "here there is none. Is the decorator below @app.route, and is this not a GET?"
            )
        return current[1]

    def method(
        self, name: str, *, reads: bool = False, errors: Mapping[int, str] | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function a JSON-RPC method; its first parameter is the transaction, a SQLAlchemy Connection.

        reads: it changes nothing, is never recorded, and whatever it writes is rolled back. errors: code (from 2000
        on) to name, as `rpc.discover` is to list them. Raises ValueError for a function that cannot be a method.
        """
        names = sys._getframe(1).f_locals  # a dataclass of an application factory is known in there alone

        def register(function: Callable[P, R]) -> Callable[P, R]:
            def call(*args: Any, **kwargs: Any) -> Any:
                return current_app.ensure_sync(function)(*args, **kwargs)

            found = method_of(name, function, call, reads=reads, errors=errors or {}, names=names)
            if name in self._methods:
                raise ValueError(f"the method {name} is there already")
            self._methods[name] = found
            for app in self._states:
                state: State = app.extensions[EXTENSION]
                if name in state.methods:
                    raise ValueError(f"the method {name} is one that every service has")
                state.methods[name] = found
            return function

        return register

    def idempotent(
        self, *, required: bool = False, ttl_s: float | None = None, replay_headers: Sequence[str] = ()
    ) -> Callable[[Callable[P, Any]], Callable[P, Response]]:
        """Make a view retry-safe under the Idempotency-Key of its requests; it stands below `@app.post(…)`.

        required: a request without a key is refused. ttl_s: how long a key is remembered, if not key_ttl_s.
        replay_headers: headers that a replay has besides Content-Type, Location and ETag.
        """
        if ttl_s is not None and not ttl_s > 0:
            raise ValueError("ttl_s must be seconds above 0")
        policy = ViewPolicy.of(required, ttl_s, replay_headers)

        def decorate(view: Callable[P, Any]) -> Callable[P, Response]:
            name = getattr(view, "__qualname__", type(view).__qualname__)

            @functools.wraps(view)
            def retry_safe(*args: P.args, **kwargs: P.kwargs) -> Response:
                app, asked = _application(), _request()
                run = app.ensure_sync(view)
                if asked.method not in VERBS:
                    return app.make_response(run(*args, **kwargs))
                current = CURRENT.get()
                if current is not None and current[0] is app:
                    raise RuntimeError(f"{name} was called within another retry-safe view")
                state = _state(app)
                label = f"{asked.method} {asked.url_rule.rule if asked.url_rule else asked.path}"
                state.policies.setdefault(label, policy)
                try:
                    return state.views.run(asked, label, lambda: run(*args, **kwargs), name, policy)
                finally:
                    state.pruner.in_passing()

            retry_safe.__oncerpc_policy__ = policy  # type: ignore[attr-defined]  # for the policy page
            return retry_safe

        return decorate


def _application() -> Flask:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # werkzeug's own way to ask
    return app


def _request() -> Request:
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # its proxy is looked up at each use
    return asked


def _state(app: Flask) -> State:
    state: State | None = app.extensions.get(EXTENSION)
    if state is None:
        raise RuntimeError("this application was not set up: call once.init_app(app, engine=…)")
    return state


def _assemble(app: Flask, engine: Engine, settings: Settings, methods: Mapping[str, Method]) -> State:
    database, boot = open_database(engine, settings)
    disabled = os.environ.get("ONCERPC_DISABLED", "") not in ("", "0")
    if disabled:
        log.warning("ONCERPC_DISABLED is set: nothing is recorded, and EVERY REQUEST RUNS, duplicates too")
    failpoints_file = os.environ.get("ONCERPC_FAILPOINTS", "")
    failpoints = Failpoints(failpoints_file) if failpoints_file else None
    config = Config(delivery="none" if disabled else "persisted", sessions_max=None, failpoints=failpoints is not None)
    statements = SqlStatements(database)
    store = SqlStore(database, statements)
    service = Service(app.name, app.name, oncerpc.__version__, methods)
    with store.read() as reader:
        clock = reader.run(functools.partial(DatabaseClock, statements))
    parts = replace(assemble(config, service, store, boot, failpoints), clock=clock)
    executor = Executor(database, statements, parts.delivery, clock, parts.metrics, claims=not disabled)
    if failpoints is not None:
        log.warning("ONCERPC_FAILPOINTS is set: whoever can call may crash this server")
        executor.failpoint = failpoints.hit_any
    key_ttl_ms = max(1, int(settings.key_ttl_s * 1000))
    committer = TransactionCommitter(executor, parts.facts, parts.metrics, parts.clock.now_ms, key_ttl_ms)
    dispatch = Dispatcher(parts, observer_of(boot, log_calls=config.log_calls))
    return State(
        settings=settings,
        executor=executor,
        store=store,
        metrics=parts.metrics,
        context=ServerContext(config, dispatch, committer, RequestsInFlight()),
        views=Views(
            app,
            executor,
            parts.metrics,
            functools.partial(_scope, settings),
            key_ttl_ms,
            settings.policy_path,
            ignores_keys=disabled,
        ),
        pruner=Pruner(executor, parts.facts.sessions),
        disabled=disabled,
        facts=parts.facts,
        methods=cast("dict[str, Method]", parts.facts.methods),
    )


def _scope(settings: Settings) -> str:
    """Whose keys the present request's are."""
    if settings.scope is not None:
        return str(settings.scope(request))
    given = request.environ.get("HTTP_AUTHORIZATION", "")
    return hashlib.sha256(given.encode()).hexdigest()[:32] if given else ""


def _add_routes(app: Flask, state: State) -> None:
    settings = state.settings
    scope_of = functools.partial(_scope, settings)

    def rpc() -> Response:
        try:
            return serve_rpc(state.context, scope_of, settings.policy_path)
        finally:
            state.pruner.in_passing()

    def policy() -> str:
        return policy_page(settings, _policies(app, state), disabled=state.disabled)

    def docs(name: str = "") -> Response:
        page = docs_page(state.facts, name, f"../{settings.path.rpartition('/')[2]}")
        return Response(page.body, content_type=page.content_type, headers=page.headers) if page else abort(404)

    app.add_url_rule(settings.path, "oncerpc", rpc, methods=_RPC_VERBS, provide_automatic_options=False)
    app.add_url_rule(settings.policy_path, "oncerpc_policy", policy, methods=["GET"])
    app.add_url_rule(f"{settings.path}/docs", "oncerpc_docs", docs, methods=["GET"])
    app.add_url_rule(f"{settings.path}/docs/<name>", "oncerpc_docs_file", docs, methods=["GET"])
    pages: dict[str, Callable[[], Response]] = {
        "/healthz": lambda: Response("ok\n", mimetype="text/plain"),
        "/readyz": lambda: _readiness(state),
        "/metrics": lambda: Response(state.metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8"),
    }

    @app.before_request
    def operators_pages() -> Response | None:
        """Only where the application has no such page of its own."""
        if isinstance(request.routing_exception, NotFound) and request.method in ("GET", "HEAD"):
            page = pages.get(request.path)
            return page() if page is not None else None
        return None


def _readiness(state: State) -> Response:
    try:
        with state.store.read() as reader:
            reader.sessions(["readyz"])
    except StoreRefused as error:
        log.warning("not ready: %s", error)
        return Response("the database cannot be reached\n", 503, mimetype="text/plain")
    except Exception:
        log.exception("not ready")
        return Response("the database does not answer\n", 503, mimetype="text/plain")
    return Response("ok\n", mimetype="text/plain")


def _policies(app: Flask, state: State) -> dict[str, ViewPolicy]:
    """Of every retry-safe view that a route leads to."""
    found = dict(state.policies)
    for rule in app.url_map.iter_rules():
        policy: ViewPolicy | None = getattr(app.view_functions.get(rule.endpoint), "__oncerpc_policy__", None)
        if policy is not None:
            found.update({f"{verb} {rule.rule}": policy for verb in (rule.methods or set()) & VERBS})
    return found


def _part_at_fork(engine: Engine) -> None:
    """A forked process must not share its parent's connections, as SQLAlchemy's documentation has it.

    Of a SQLite file the child must not even inherit one that it leaves alone: what SQLite knows of its locks would be
    the parent's. A database in memory is the connection, and stays.
    """
    kept = weakref.ref(engine)

    def close() -> None:
        found = kept()
        if found is not None and isinstance(found.pool, QueuePool) and found.dialect.name == "sqlite":
            found.dispose()

    def forget() -> None:
        found = kept()
        if found is not None and found.dialect.name != "sqlite":
            found.dispose(close=False)

    os.register_at_fork(before=close, after_in_child=forget)
