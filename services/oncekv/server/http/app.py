"""The wiring: one server's parts put together, with Flask around them.

`create_app` gives a Flask app whose `/rpc` is the endpoint; health, readiness, metrics and docs are ordinary views, and
`app.test_client().post("/rpc", json=…)` goes the whole way of a call.
"""

from __future__ import annotations

import socket

from flask import Flask, Response, abort
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.test import create_environ

from oncekv.server.config import Config
from oncekv.server.engine.committer import Committer
from oncekv.server.engine.remote_committer import RemoteCommitter
from oncekv.server.engine.storage.base import Store
from oncekv.server.readiness import Readiness
from oncekv.server.wiring import make_components
from oncerpc import otel
from oncerpc.server.failpoints import Failpoints
from oncerpc.server.http.docs_page import docs_page
from oncerpc.server.http.endpoint import HttpError, HttpReply, failed
from oncerpc.server.http.exchange import ServerContext
from oncerpc.server.http.wsgi import WsgiEndpoint
from oncerpc.server.log import log
from oncerpc.server.rpc.call import BaseCommitter
from oncerpc.server.rpc.components import Components
from oncerpc.server.rpc.dispatcher import Dispatcher
from oncerpc.server.rpc.observers import observer_of
from oncerpc.server.watchdog import RequestsInFlight, Watchdog

__all__ = ["KvServer", "create_app"]


class KvServer:
    """One worker: its way to the committer, its metrics, and the Flask app that leads to them.

    `channel` leads to the writer's process; without one the committer is here.
    """

    def __init__(self, components: Components[Store], channel: socket.socket | None = None) -> None:
        self.config = components.config
        self.metrics = components.metrics
        self.facts = components.facts
        self._store = components.store
        self.readiness = Readiness(components.store, components.monotonic_s)
        self.committer: BaseCommitter = (
            Committer(components) if channel is None else RemoteCommitter(components, channel)
        )
        self.running = RequestsInFlight()
        observer = observer_of(components.facts.boot, log_calls=components.config.log_calls)
        dispatch = Dispatcher(components, observer)
        self.served = ServerContext(components.config, dispatch, self.committer, self.running)
        self.app = _flask(self)
        self.pages = self.app.wsgi_app
        """What every path but `/rpc` goes to, as WSGI."""
        self.page("GET", "/healthz")  # Flask imports at its first page, for which there may be no descriptor later
        self.app.wsgi_app = WsgiEndpoint(self.served, self.pages)  # type: ignore[method-assign]  # Flask's own hook
        self._watchdog = Watchdog(self.running, components.config.call_watch_ms)
        self._watchdog.start()
        self.committer.start()

    def page(self, verb: str, path: str) -> HttpReply:
        """What Flask says to a path that is not `/rpc`; none of its pages has a body or a query."""
        try:
            environ = create_environ(method=verb)
            # As PEP 3333 has it. `//x` is neither a host nor the page `/x`, which Werkzeug would take it for.
            environ["PATH_INFO"] = "/" if path.startswith("//") else path.encode().decode("latin-1")
            page = Response.from_app(self.pages, environ, buffered=True)
        except Exception:  # on the event loop nobody else would answer
            log.exception("the page %s failed", path)
            return failed("500 Internal Server Error")
        return HttpReply(page.status, list(page.headers), page.get_data())

    def close(self) -> None:
        """Commit what waits, then let the store go."""
        self._watchdog.stop()
        self.committer.stop()
        self._store.close()
        otel.shut_down()


def create_app(config: Config, store: Store) -> Flask:
    """A Flask app on an open store; `app.extensions["oncekv"].close()` ends it."""
    return KvServer(make_components(config, store, store.boot(), Failpoints() if config.failpoints else None)).app


def _flask(server: KvServer) -> Flask:
    app = Flask("oncekv", static_folder=None)
    app.extensions["oncekv"] = server
    app.url_map.merge_slashes = False  # else `/docs//x` is redirected, by a page of HTML, to a host that Flask makes up

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        fault = server.readiness.fault()
        return Response(f"{fault or 'ok'}\n", status=503 if fault else 200, mimetype="text/plain")

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(server.metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/docs", defaults={"name": ""})
    @app.get("/docs/<name>")
    def docs(name: str) -> Response:
        page = docs_page(server.facts, name, "rpc")
        return Response(page.body, content_type=page.content_type, headers=page.headers) if page else abort(404)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        """A page that is not there, or a verb that it does not take: refused as `/rpc` refuses. Or one that failed."""
        page = error.get_response()
        if isinstance(error, InternalServerError):  # Flask has logged what the page raised
            return Response(failed(page.status).body, page.status, mimetype="application/json")
        body = HttpError(page.status, f"no such page, or not by this verb: {error.name}").reply().body
        allowed = {name: value for name, value in page.headers.items() if name == "Allow"}
        return Response(body, page.status, allowed, mimetype="application/json")

    return app
