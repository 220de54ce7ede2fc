"""The HTTP server under the page: werkzeug's, a thread for each connection."""

from __future__ import annotations

import socket
import threading
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

__all__ = ["PortBusy", "WebServer", "listen"]

CONNECTION_QUIET_MAX_S = 60


class PortBusy(Exception):
    """Somebody else has the port."""


class _Handler(WSGIRequestHandler):
    """Says nothing of each request, and waits for nobody for ever."""

    timeout = CONNECTION_QUIET_MAX_S

    def log(self, *_words: Any) -> None:
        return


def listen(host: str, port: int) -> socket.socket:
    """Raises PortBusy, in words."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise PortBusy(
            f"port {port} cannot be had ({error.strerror}); choose another: --port 0 takes a free one"
        ) from None
    return found


class WebServer:
    """From `start` to `close`."""

    def __init__(self, app: Flask, listening: socket.socket) -> None:
        host, port = listening.getsockname()
        self._listening = listening
        self._server: BaseWSGIServer = make_server(
            host, port, app, threaded=True, request_handler=_Handler, fd=listening.fileno()
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="live-web", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """No further requests."""
        self._server.shutdown()
        self._thread.join(5.0)
        self._server.server_close()
        self._listening.close()
