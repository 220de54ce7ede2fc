"""What the fuzzer runs, in its own process: the server without its sockets, bytes in and bytes out.

    front       the bytes of a connection, as they come; they are cut into reads at places that the input names
    envelope    a body for /rpc, whole and with the right length

After each, what came out is read as a client would: replies of HTTP/1.1 with documented statuses, response objects
with errors of the registry, and no failure of the server's own, neither told (`internal_error`, 500) nor logged. Real
are the parser, the endpoint, dispatch, the committer and a store on SQLite; not there are sockets and the event loop.
"""

from __future__ import annotations

import atexit
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oncekv.server.config import Config
from oncekv.server.engine.storage import open_store
from oncekv.server.http.app import KvServer
from oncekv.server.http.connection import Answered, Connection
from oncekv.server.wiring import make_components
from oncerpc.server.http.endpoint import HttpReply
from oncerpc.server.http.exchange import Exchange
from oncerpc.server.rpc.dispatcher import Caller
from tests.fuzz.replies import STATUSES, faults

__all__ = ["TARGETS", "Finding"]

SHM = Path("/dev/shm")
BODY_BYTES_MAX = 64 * 1024
FAILURE = -32603


class Finding(Exception):
    """Something that no input may lead to."""


class _Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_over = False

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        """The client has all."""

    def close(self) -> None:
        self.is_over = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_over

    def pause_reading(self) -> None:
        """Nobody else would read."""

    resume_reading = pause_reading


class _Handler:
    """Every step on this thread, as the model `threads` has it."""

    is_draining = False

    def __init__(self, server: KvServer) -> None:
        self._server = server
        self.config = server.config

    def call(self, body: bytes, caller: Caller, _answered: Answered) -> HttpReply:
        return Exchange(self._server.served, body, caller).answer()

    def page(self, verb: str, path: str, _answered: Answered) -> HttpReply:
        return self._server.page(verb, path)


class _Connection(Connection):
    __slots__ = ("transport",)

    def __init__(self, handler: _Handler) -> None:
        super().__init__(handler)
        self._transport = self.transport = _Transport()

    def limit(self, time_s: float | None) -> None:
        """No clock runs."""


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class _World:
    """One server for all inputs; made at the first."""

    def __init__(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="oncekv-fuzz-", dir=SHM if SHM.is_dir() else None)
        config = Config(
            store_url=f"sqlite:///{folder.name}/kv.db", body_bytes_max=BODY_BYTES_MAX, batch_max=20, sessions_max=1000
        )
        store = open_store(config.store_url)
        server = KvServer(make_components(config, store, store.boot(), None))
        self.handler = _Handler(server)
        self.log = _Log()
        for name in ("oncerpc", "oncekv"):
            logging.getLogger(name).addHandler(self.log)
        atexit.register(folder.cleanup)
        atexit.register(server.close)

    def talk(self, reads: list[bytes]) -> bytes:
        """What is answered to a client that sends this and closes its side."""
        connection = _Connection(self.handler)
        for read in reads:
            if connection.transport.is_over:
                break
            connection.receive(read)
        if not connection.transport.is_over:
            connection.receive_end()
        if self.log.lines:
            lines, self.log.lines = self.log.lines, []
            raise Finding(f"the server logged an error: {lines}")
        return connection.transport.written


_worlds: list[_World] = []


def _world() -> _World:
    if not _worlds:
        _worlds.append(_World())
    return _worlds[0]


def front(data: bytes) -> None:
    """The first byte says how many cuts there are, the bytes behind it where."""
    cuts = data[0] % 4 if data else 0
    places, content = data[1 : 1 + cuts], data[1 + cuts :]
    at = sorted(len(content) * place // 256 for place in places)
    reads = [content[start:end] for start, end in zip([0, *at], [*at, len(content)], strict=True)]
    _read_all(_world().talk([read for read in reads if read]))


def envelope(body: bytes) -> None:
    """A body by itself; the reply has the ids of its requests."""
    head = f"POST /rpc HTTP/1.1\r\nHost: f\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    replies = _read_all(_world().talk([head.encode() + body]))
    if len(replies) != 1:
        raise Finding(f"{len(replies)} replies to one request")
    status, content = replies[0]
    if status not in (200, 204, 413, 503):
        raise Finding(f"status {status} for a body alone")
    if status == 200:
        _look_at_ids(body, json.loads(content))


def _look_at_ids(body: bytes, response: Any) -> None:
    """Each reply's id is one that was asked with, or null."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        codes = {one["error"]["code"] for one in ([response] if isinstance(response, dict) else response)}
        if codes - {-32700}:
            raise Finding(f"what Python cannot read was answered with {codes}") from None
        return
    requests = asked if isinstance(asked, list) else [asked]
    ids = [one.get("id") for one in requests if isinstance(one, dict)]
    for one in response if isinstance(response, list) else [response]:
        if one["id"] is not None and one["id"] not in ids:
            raise Finding(f"a reply to {one['id']!r}, which nobody asked")


def _read_all(written: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each reply. Raises Finding for one that is none."""
    found = []
    while written:
        head, blank, written = written.partition(b"\r\n\r\n")
        if not blank:
            raise Finding(f"half a head: {head!r}")
        line, *headers = head.decode("latin-1").split("\r\n")
        status = int(line.removeprefix("HTTP/1.1 ")[:3])
        if status == 100:
            continue
        fields = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
        size = int(fields.get("content-length", 0))
        if not written or written.startswith(b"HTTP/1.1 "):
            size = 0  # the reply to HEAD has the length of the body that it leaves out
        body, written = written[:size], written[size:]
        if status not in STATUSES or len(body) < size:
            raise Finding(f"an undocumented reply: {head!r} {body!r}")
        if fields.get("content-type") == "application/json" and body:
            _check_json(status, body)
        found.append((status, body))
    return found


def _check_json(status: int, body: bytes) -> None:
    response = json.loads(body)
    if isinstance(response, dict) and "openapi" in response:
        return
    for one in response if isinstance(response, list) else [response]:
        wrong = faults(one)
        if wrong or (one.get("error") or {}).get("code") == FAILURE:
            raise Finding(f"status {status}: {wrong}: {one}")


TARGETS: dict[str, Callable[[bytes], None]] = {"front": front, "envelope": envelope}
