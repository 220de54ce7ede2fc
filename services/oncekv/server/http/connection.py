"""One client's connection, the same for both server models: requests in order, each with its reply.

    receive ─► request ─► _serve, one at a time ─► host ─► … the committer … ─► answered ─► _send ─► transport

The model brings the bytes and has the transport: a thread that waits for each connection (`models.threads`), or the
event loop, whose callbacks never wait (`models.event_loop`). All that a client can tell is here and in `request`.

Guarantee: replies leave in the order of their requests, and half a request never runs. Bounds: those of `request`, and
`STALL_MAX_S` for a request that has begun to arrive. From a client that sends further requests before it has its reply,
or does not fetch its replies, nothing more is read.
"""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

from oncekv.server.http.request import Request, RequestParser
from oncerpc.server.config import Config
from oncerpc.server.http.endpoint import HttpReply, body_cut
from oncerpc.server.rpc.dispatcher import Caller

__all__ = ["Answered", "Connection", "RequestHandler", "Transport"]

LINGER_BYTES_MAX = 4 * 1024 * 1024
LINGER_S = 1.0
STALL_MAX_S = 30.0

Answered = Callable[[HttpReply], object]


class RequestHandler(Protocol):
    """What stands behind the connections. It gives the reply, or None and calls `answered` later."""

    config: Config
    is_draining: bool

    def call(self, body: bytes, caller: Caller, answered: Answered) -> HttpReply | None: ...
    def page(self, verb: str, path: str, answered: Answered) -> HttpReply | None: ...


class Transport(Protocol):
    """The way to the client, as asyncio has it. `write` never fails; once it cannot go on it is closing."""

    def write(self, data: bytes) -> object: ...
    def write_eof(self) -> object: ...
    def close(self) -> object: ...
    def abort(self) -> object: ...
    def is_closing(self) -> bool: ...
    def pause_reading(self) -> object: ...
    def resume_reading(self) -> object: ...


class Connection(ABC):
    """A connection's whole life."""

    __slots__ = (
        "_bytes_over", "_can_write", "_handler", "_is_over", "_is_paused", "_limited", "_parser", "_running",
        "_transport", "_waiting",
    )  # fmt: skip

    _transport: Transport

    def __init__(self, host: RequestHandler) -> None:
        self._handler = host
        self._parser = RequestParser(host.config)
        self._waiting = self._parser.ready
        self._running: Request | None = None
        self._can_write = True
        self._is_paused = False
        self._limited: Request | None = None
        """The one that may not arrive for ever."""
        self._is_over = False
        """Nothing that still comes is looked at, but only counted."""
        self._bytes_over = 0

    @abstractmethod
    def limit(self, time_s: float | None) -> None:
        """Abort the connection after that time, in place of any limit before; None: never."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is on its way."""
        return self._parser.arriving is None and self._running is None and not self._waiting

    def end_if_idle(self) -> None:
        """The server drains: go now, unless a request is on its way; then after its reply."""
        if self.is_idle:
            self._transport.close()

    # What the model calls.

    def receive(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_over:
            self._bytes_over += len(data)
            if self._bytes_over > LINGER_BYTES_MAX:
                self._transport.abort()
            return
        self._parser.feed(data)
        self._is_over = self._parser.is_over
        self._serve()

    def receive_end(self) -> bool:
        """No more bytes will come; whether the connection is kept for the replies that it is still owed."""
        if self._parser.arriving and self._parser.arriving.caller:
            self._parser.refuse(body_cut())
            self._serve()
        self._is_over = True
        if self._running:
            (self._waiting or [self._running])[-1].is_last = True
        return self._running is not None

    def lost(self) -> None:
        """The client is gone."""
        self._is_over = True
        self._waiting.clear()
        self.limit(None)

    def set_writable(self, can_write: bool) -> None:
        """Whether the client fetches its replies."""
        self._can_write = can_write
        if can_write:
            self._serve()

    # One request at a time, in order.

    def _serve(self) -> None:
        while self._waiting and not self._running and self._can_write and not self._transport.is_closing():
            request = self._running = self._waiting.pop(0)
            reply: HttpReply | None
            if request.refusal:
                reply = request.refusal.reply()
            elif request.caller:
                reply = self._handler.call(b"".join(request.body), request.caller, self._answered)
            else:
                reply = self._handler.page(request.verb, request.path, self._answered)
            if reply:
                self._send(reply)
        arriving = self._parser.arriving
        if arriving and arriving.waits_to_go_on and not self._running and not self._waiting:
            arriving.waits_to_go_on = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
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
            self.limit(LINGER_S)
        else:
            self._transport.close()

    def _pace(self) -> None:
        """Read only what can be served soon, and do not wait for ever for the rest of a request."""
        is_paused = bool(self._waiting) or not self._can_write
        if is_paused is not self._is_paused and not self._transport.is_closing():
            self._is_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()
        if self._is_over:
            return
        request = None if is_paused else self._parser.arriving
        # A head has one bound; a body may go on for as long as it moves.
        if request is not self._limited or (request and request.has_head):
            self._limited = request
            self.limit(STALL_MAX_S if request else None)


@functools.lru_cache(maxsize=8)
def _begin(status: str, now_s: int) -> str:
    return f"HTTP/1.1 {status}\r\nDate: {formatdate(now_s, usegmt=True)}\r\n"


def _encode(reply: HttpReply, request: Request, *, is_last: bool) -> bytes:
    head = _begin(reply.status, int(time.time()))
    for name, value in reply.headers:
        head += f"{name}: {value}\r\n"
    if is_last:
        head += "Connection: close\r\n"
    elif request.is_old:
        head += "Connection: keep-alive\r\n"
    begin = f"{head}\r\n".encode("latin-1")
    return begin if request.verb == "HEAD" else begin + reply.body
