"""The wiring: one server's parts put together, with Flask around them.

`create_app` gives a Flask app whose `/rpc` is the endpoint; health, readiness and metrics are ordinary views, and
`app.test_client().post("/rpc", json=…)` goes the whole way of a call.
"""

from __future__ import annotations

import secrets
import time

from flask import Flask, Response

import oncekv
from oncekv.server.committer import Committer
from oncekv.server.config import Config
from oncekv.server.delivery import make_delivery
from oncekv.server.dispatch import Dispatch
from oncekv.server.exchange import Served
from oncekv.server.failpoints import Failpoints
from oncekv.server.log import log
from oncekv.server.methods import methods
from oncekv.server.methods.base import ServerFacts
from oncekv.server.observe import Metrics
from oncekv.server.sessions import LeaseClock, Sessions
from oncekv.server.storage.base import Store, Tally
from oncekv.server.watchdog import Running, Watchdog
from oncekv.server.wsgi import WsgiEndpoint

__all__ = ["Node", "create_app"]

NAME_BYTES = 16  # 128 random bits: whoever holds the name is the client


class Node:
    """One worker: its committer, its metrics, and the Flask app that leads to them."""

    def __init__(self, config: Config, store: Store, boot: int, failpoints: Failpoints | None) -> None:
        self.config = config
        self._store = store
        started_s = time.monotonic()
        sessions = Sessions(config, lambda: secrets.token_urlsafe(NAME_BYTES))
        facts = ServerFacts(
            config=config,
            boot=boot,
            store=store.name,
            release=oncekv.__version__,
            uptime_ms=lambda: int((time.monotonic() - started_s) * 1000),
            sessions=sessions,
            methods=methods(failpoints=failpoints is not None),
            failpoints=failpoints,
        )
        delivery = make_delivery(config, sessions)
        clock = LeaseClock(time.monotonic, self._tally().clock_ms)
        self.metrics = Metrics(lambda: self._tally()._asdict())
        self.committer = Committer(facts, store, delivery, clock, self.metrics, time.monotonic)
        dispatch = Dispatch(facts, store, delivery, clock, self.metrics, time.monotonic)
        self.running = Running()
        self.served = Served(config, dispatch, self.committer, self.running)
        self.app = _flask(self)
        self.pages = self.app.wsgi_app
        """What every path but `/rpc` goes to, as WSGI."""
        self.app.wsgi_app = WsgiEndpoint(self.served, self.pages)  # type: ignore[method-assign]  # Flask's own hook
        self._watchdog = Watchdog(self.running, config.call_watch_ms)
        self._watchdog.start()
        self.committer.start()

    def is_ready(self) -> bool:
        """Whether the store answers."""
        try:
            self._tally()
        except Exception:
            log.exception("the store does not answer")
            return False
        return True

    def close(self) -> None:
        """Commit what waits, then let the store go."""
        self._watchdog.stop()
        self.committer.stop()
        self._store.close()

    def _tally(self) -> Tally:
        with self._store.read() as reader:
            return reader.tally()


def create_app(config: Config, store: Store) -> Flask:
    """A Flask app on an open store; `app.extensions["oncekv"].close()` ends it."""
    node = Node(config, store, store.boot(), Failpoints() if config.failpoints else None)
    return node.app


def _flask(node: Node) -> Flask:
    app = Flask("oncekv", static_folder=None)
    app.extensions["oncekv"] = node

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        ready = node.is_ready()
        return Response(
            "ok\n" if ready else "the store does not answer\n",
            status=200 if ready else 503,
            mimetype="text/plain",
        )

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(node.metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    return app
