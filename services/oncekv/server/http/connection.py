"""One client's connection in the event loop: bytes to requests and replies to bytes, by callbacks alone.

    data_received ─► httptools ─► on_url, on_header, on_headers_complete, on_body, on_message_complete ─► _waiting
                                                                                                             │
    write ◄─ _send ◄─ _answered ◄─ … threads that may wait, the committer … ◄─ host ◄─ _serve, one at a time ◄┘

asyncio calls the first of them, httptools (llhttp, the parser of Node.js) those behind it, and none of them ever waits.

Guarantee: replies leave in the order of their requests, and half a request never runs. Bounds: `HEAD_BYTES_MAX` and a
read for a head, the endpoint's rules for a body, `STALL_MAX_S` for a request that has begun to arrive. From a client
that sends further requests before it has its reply, or does not fetch its replies, nothing more is read.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol
from urllib.parse import unquote

import httptools

from oncekv.server.config import Config
from oncekv.server.http.endpoint import DRAIN_BYTES_MAX, PATH, Head, HttpError, HttpReply, admit, body_cut
from oncekv.server.rpc.dispatcher import Caller

__all__ = ["Connection", "RequestHandler"]

HEAD_BYTES_MAX = 64 * 1024
LINGER_BYTES_MAX = 4 * 1024 * 1024
LINGER_S = 1.0
STALL_MAX_S = 30.0

HEADERS = frozenset(
    {b"content-length", b"content-type", b"authorization", b"idempotency-key", b"expect", b"transfer-encoding"}
)
"""Those that anybody here looks at."""

Answered = Callable[[HttpReply], object]


class RequestHandler(Protocol):
    """What stands behind the connections. It calls `answered` on the loop, later."""

    config: Config
    is_draining: bool

    def joined(self, connection: Connection) -> None: ...
    def left(self, connection: Connection) -> None: ...
    def call(self, body: bytes, caller: Caller, answered: Answered) -> None: ...
    def page(self, verb: str, path: str, answered: Answered) -> None: ...


class _Request:
    """One request, while it arrives and until its reply. `caller` is set when its body is to be read."""

    __slots__ = (
        "body",
        "bytes_dropped",
        "caller",
        "has_head",
        "headers",
        "is_last",
        "is_old",
        "refusal",
        "url",
        "verb",
    )

    def __init__(self, refusal: HttpError | None = None) -> None:
        self.url = b""
        self.headers: dict[bytes, str] = {}
        self.verb = ""
        self.has_head = False
        self.caller: Caller | None = None
        self.refusal = refusal
        self.body: list[bytes] = []
        self.bytes_dropped = 0
        self.is_last = refusal is not None
        self.is_old = False


class Connection(asyncio.Protocol):
    """A connection's whole life."""

    __slots__ = (
        "_arriving",
        "_bytes_over",
        "_can_write",
        "_handler",
        "_head_bytes",
        "_is_over",
        "_is_paused",
        "_parser",
        "_running",
        "_stall",
        "_transport",
        "_waiting",
    )  # fmt: skip

    def __init__(self, host: RequestHandler) -> None:
        self._handler = host
        self._parser = httptools.HttpRequestParser(self)
        self._arriving: _Request | None = None
        self._waiting: list[_Request] = []
        self._running: _Request | None = None
        self._head_bytes = 0
        self._can_write = True
        self._is_paused = False
        self._is_over = False
        """Nothing that still comes is looked at, but only counted."""
        self._bytes_over = 0
        self._stall: asyncio.TimerHandle | None = None

    def end_if_idle(self) -> None:
        """The server drains: go now, unless a request is on its way; then after its reply."""
        if self._arriving is None and self._running is None and not self._waiting:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._handler.joined(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_over = True
        self._waiting.clear()
        self._stop_watch()
        self._handler.left(self)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self._bytes_over += len(data)
            if self._bytes_over > LINGER_BYTES_MAX:
                self._transport.abort()
            return
        before = self._arriving
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay_in_http(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(HttpError("400 Bad Request", f"this is not HTTP: {error}"))
        self._limit_head(before, len(data))
        self._serve()

    def eof_received(self) -> bool:
        """Whether the connection is kept for the replies that it is still owed."""
        if self._arriving and self._arriving.caller:
            self._refuse(body_cut())
            self._serve()
        self._is_over = True
        if self._running:
            (self._waiting or [self._running])[-1].is_last = True
        return self._running is not None

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._serve()

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._arriving = _Request()
        self._head_bytes = 0
        self._stop_watch()

    def on_url(self, part: bytes) -> None:
        if self._arriving:
            self._arriving.url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self._arriving and name in HEADERS:
            text = value.decode("latin-1").strip(" \t")
            headers = self._arriving.headers
            headers[name] = f"{headers[name]},{text}" if name in headers else text

    def on_headers_complete(self) -> None:
        request = self._arriving
        if not request:
            return
        request.has_head = True
        request.verb = self._parser.get_method().decode("latin-1")
        request.is_old = self._parser.get_http_version() == "1.0"
        if _path(request.url) == PATH:
            try:
                request.caller = admit(self._handler.config, _head(request), time.monotonic())
            except HttpError as refusal:
                request.refusal = refusal
        if request.headers.get(b"expect", "").lower() == "100-continue":
            self._expected(request)

    def on_body(self, part: bytes) -> None:
        request = self._arriving
        if not request:
            return
        if request.caller:
            request.body.append(part)
            return
        request.bytes_dropped += len(part)
        if request.bytes_dropped > DRAIN_BYTES_MAX:
            self._refuse(request.refusal or HttpError("413 Content Too Large", "no body is expected here"))

    def on_message_complete(self) -> None:
        request, self._arriving = self._arriving, None
        if request:
            request.is_last = request.is_last or not self._parser.should_keep_alive()
            self._waiting.append(request)

    # One request at a time, in order.

    def _serve(self) -> None:
        while self._waiting and not self._running and self._can_write and not self._transport.is_closing():
            request = self._running = self._waiting.pop(0)
            if request.refusal:
                self._send(request.refusal.reply())
            elif request.caller:
                self._handler.call(b"".join(request.body), request.caller, self._answered)
            else:
                self._handler.page(request.verb, _path(request.url), self._answered)
        self._pace()

    def _answered(self, reply: HttpReply) -> None:
        self._send(reply)
        self._serve()

    def _send(self, reply: HttpReply) -> None:
        request, self._running = self._running, None
        assert request
        if self._transport.is_closing():
            return  # the client is gone
        if reply.dropped:
            self._transport.close()
            return
        is_last = request.is_last or self._handler.is_draining
        self._transport.write(_encode(reply, request, is_last=is_last))
        if is_last:
            self._end(linger=request.refusal is not None)

    def _end(self, *, linger: bool) -> None:
        """Close. To close while the client still sends would reset the connection, and the reply might be lost."""
        self._is_over = True
        self._waiting.clear()
        if linger:
            self._transport.write_eof()
            self._watch(LINGER_S)
        else:
            self._transport.close()

    def _refuse(self, refusal: HttpError) -> None:
        """What arrives is refused, and nothing behind it can be understood."""
        self._arriving = None
        self._is_over = True
        self._waiting.append(_Request(refusal))

    def _expected(self, request: _Request) -> None:
        """The client waits for a word before it sends the body."""
        if request.refusal:
            self._refuse(request.refusal)
        elif not self._running and not self._waiting:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _stay_in_http(self, rest: bytes) -> None:
        """Nothing is offered to upgrade to: a new parser reads on, so that the request gets its body all the same."""
        self._parser = httptools.HttpRequestParser(self)
        request = self._waiting[-1]
        length = request.headers.get(b"content-length", "0")
        if request.verb == "CONNECT" or b"transfer-encoding" in request.headers:
            request.is_last = self._is_over = True
        elif length.isdecimal() and int(length):
            self._parser.feed_data(f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
            self._arriving = self._waiting.pop()
        self.data_received(rest)
        self._serve()

    # Bounds.

    def _limit_head(self, before: _Request | None, size: int) -> None:
        """Count what came of a head that is not yet whole; the parser hands headers out only when they are."""
        request = self._arriving
        if request and not request.has_head:
            self._head_bytes += size if request is before else 0
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(
                    HttpError("431 Request Header Fields Too Large", f"a head may have {HEAD_BYTES_MAX} bytes")
                )

    def _pace(self) -> None:
        """Read only what can be served soon, and do not wait for ever for the rest of a request."""
        is_paused = bool(self._waiting) or not self._can_write
        if is_paused is not self._is_paused and not self._transport.is_closing():
            self._is_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()
        if self._is_over:
            return
        request = self._arriving
        if request is None or is_paused:
            self._stop_watch()
        elif self._stall is None or request.has_head:  # a head has one bound; a body may go on for as long as it moves
            self._watch(STALL_MAX_S)

    def _watch(self, time_s: float) -> None:
        self._stop_watch()
        self._stall = asyncio.get_running_loop().call_later(time_s, self._transport.abort)

    def _stop_watch(self) -> None:
        if self._stall:
            self._stall.cancel()
            self._stall = None


def _head(request: _Request) -> Head:
    get = request.headers.get
    return Head(
        request.verb,
        get(b"content-length"),
        get(b"content-type", ""),
        get(b"authorization", ""),
        get(b"idempotency-key"),
    )


def _path(url: bytes) -> str:
    """The path of a request's target, without its escapes; empty when it has none."""
    if url == b"/rpc":
        return PATH
    try:
        return unquote(httptools.parse_url(url).path or b"")
    except httptools.HttpParserInvalidURLError:
        return ""


@functools.lru_cache(maxsize=8)
def _begin(status: str, now_s: int) -> str:
    return f"HTTP/1.1 {status}\r\nDate: {formatdate(now_s, usegmt=True)}\r\n"


def _encode(reply: HttpReply, request: _Request, *, is_last: bool) -> bytes:
    head = _begin(reply.status, int(time.time()))
    for name, value in reply.headers:
        head += f"{name}: {value}\r\n"
    if is_last:
        head += "Connection: close\r\n"
    elif request.is_old:
        head += "Connection: keep-alive\r\n"
    begin = f"{head}\r\n".encode("latin-1")
    return begin if request.verb == "HEAD" else begin + reply.body
