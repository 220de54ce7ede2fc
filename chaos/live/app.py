"""The page's server: one page, its files, the journal as a stream and as a file, and the actions.

On the loopback alone, for one person. What a browser is told to ask is checked here all the same: the Host (a foreign
name that leads to this address is refused), a token that only this page has been given, and the size of what comes in.
Guarantee: nothing that is sent makes it end or stand still. Bounds: STREAMS_MAX readers, bodies of BODY_BYTES_MAX.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from chaos.live.actions import Refused
from chaos.live.journal import Journal, Reset

__all__ = ["make_app"]

BODY_BYTES_MAX = 4 * 1024
STREAMS_MAX = 24
PING_S = 10.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def make_app(journal: Journal, act: Callable[[bytes], None], hosts: frozenset[str], token: str = "") -> Flask:
    """`act` does an action or raises Refused. hosts: what may stand in `Host`, with a port or with any."""
    app = Flask(__name__, static_folder="static", template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    token = token or secrets.token_urlsafe(24)
    _guard(app, hosts)
    _show_page(app, token)
    _show_journal(app, journal)
    _take_actions(app, act, token)
    return app


def _guard(app: Flask, hosts: frozenset[str]) -> None:
    """Whom it answers, and what a browser may do with the answer."""

    @app.before_request
    def check_host() -> Response | None:
        known = {request.host, request.host.partition(":")[0]} & hosts
        return None if known else _error(f"this is {' or '.join(sorted(hosts))} and nothing else", 421)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-cache")
        return response

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Response:
        return _error(f"{error.name}: {error.description}", error.code or 500)


def _show_page(app: Flask, token: str) -> None:
    @app.get("/")
    def page() -> Response:
        return Response(render_template("live.html", token=token), mimetype="text/html")


def _show_journal(app: Flask, journal: Journal) -> None:
    streams = threading.BoundedSemaphore(STREAMS_MAX)

    @app.get("/events")
    def events() -> Response:
        after = _number(request.headers.get("Last-Event-ID") or request.args.get("after", "0"))
        if request.args.get("run", journal.run) != journal.run:
            after = None
        if not streams.acquire(blocking=False):
            return _error("too many pages look on; close some of them", 503)
        response = Response(_stream(journal, after), mimetype="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        response.call_on_close(streams.release)
        return response

    @app.get("/journal")
    def whole() -> Response:
        response = Response(journal.lines(), mimetype="application/jsonl")
        name = f"oncekv-live-{datetime.now():%Y%m%d-%H%M%S}.jsonl"
        response.headers["Content-Disposition"] = f"attachment; filename={name}"
        response.headers["Cache-Control"] = "no-store"
        return response


def _take_actions(app: Flask, act: Callable[[bytes], None], token: str) -> None:
    @app.post("/actions")
    def actions() -> Response:
        if not hmac.compare_digest(request.headers.get("X-Live-Token", "").encode(), token.encode()):
            return _error("that token is not this page's; load the page again", 403)
        try:
            act(request.get_data())
        except Refused as refused:
            return _error(str(refused), refused.status)
        return jsonify(ok=True)


def _stream(journal: Journal, after: int | None) -> Iterator[bytes]:
    """Server-sent events from there on; `reset` where that cannot be had."""
    at = after
    pinged_s = time.monotonic()
    yield b"retry: 1000\n\n"
    while not journal.is_closed:
        try:
            if at is None:
                raise Reset()
            found = journal.after(at, 1.0)
        except Reset:
            yield b"event: reset\ndata: {}\n\n"
            return
        if found:
            at = found[-1][0]
            yield b"".join(b"id: %d\ndata: %b\n\n" % event for event in found)
        elif time.monotonic() - pinged_s > PING_S:
            yield b": ping\n\n"
        else:
            continue
        pinged_s = time.monotonic()


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 16 else None


def _error(words: str, status: int) -> Response:
    response = jsonify(error=words)
    response.status_code = status
    return response
