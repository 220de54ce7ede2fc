"""One client's requests, out of its bytes: heads, bodies and their bounds, by what RFC 9110 and 9112 say.

    feed ─► httptools ─► on_url, on_header, on_headers_complete, on_body, on_message_complete ─► ready

httptools (llhttp, the parser of Node.js) reads both server models' requests, so the two cannot differ in what they take
for a request. No socket and no clock but the time of arrival: `connection` brings the bytes and takes what is ready.

Guarantee: a request is ready only whole, or as its refusal; behind what cannot be understood nothing is. A header that
may stand once stands once. Bounds: `HEAD_BYTES_MAX` and a read for a head, the endpoint's rules for a body.
"""

from __future__ import annotations

import functools
import re
import time
from urllib.parse import unquote

import httptools

from oncerpc.server.config import Config
from oncerpc.server.http.endpoint import DRAIN_BYTES_MAX, PATH, Head, HttpError, admit
from oncerpc.server.rpc.dispatcher import Caller
from oncerpc.wire.identity import ATTEMPT_HEADER, TRACE_HEADER

__all__ = ["Request", "RequestParser"]

HEAD_BYTES_MAX = 64 * 1024

_LISTS = frozenset({b"expect", b"transfer-encoding"})
"""Read here, and may come in several lines, which are one list (RFC 9110, section 5.3)."""
_SINGLE = frozenset({b"host", b"content-length", b"content-type", b"authorization", b"idempotency-key"})
"""Read here, and may come once."""
_ASIDES = frozenset({ATTEMPT_HEADER.lower().encode(), TRACE_HEADER.lower().encode()})
"""Read here for logs and traces; whatever they hold, and if they come twice, the call is the same."""
_READ = _SINGLE | _LISTS | _ASIDES
_MISSPELT = frozenset(name.replace(b"-", b"_") for name in _SINGLE | _LISTS) - _READ
"""To CGI and WSGI, which may stand before or behind us, these are the headers read here."""
_HOST = re.compile(r"(\[[0-9A-Za-z:.%~_-]+\]|([0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_OTHER_VERB = re.compile(rb"(?<!%s)(?!POST )%s+ [!-~]+ HTTP/1\.[01]\r\n" % (_TOKEN, _TOKEN))


class Request:
    """One request. `caller` is set when its body is a call, `refusal` when it is refused; else it asks for a page."""

    __slots__ = (
        "body", "caller", "dropped_bytes", "has_head", "headers", "is_last", "is_old", "refusal", "url", "verb",
        "waits_to_go_on",
    )  # fmt: skip

    def __init__(self, refusal: HttpError | None = None) -> None:
        self.url = b""
        self.headers: dict[bytes, str] = {}
        self.verb = ""
        self.has_head = False
        self.caller: Caller | None = None
        self.refusal = refusal
        self.body: list[bytes] = []
        self.dropped_bytes = 0
        self.is_last = refusal is not None
        self.is_old = False
        """Of HTTP/1.0."""
        self.waits_to_go_on = False
        """The client sends the body when it is told to, by `100 Continue`."""

    @property
    def path(self) -> str:
        """The path of its target, without escapes; empty when it has none."""
        if self.url == b"/rpc":
            return PATH
        try:
            return unquote(httptools.parse_url(self.url).path or b"")
        except httptools.HttpParserInvalidURLError:
            return ""


class RequestParser:
    """Takes bytes in; whoever reads `ready` takes the requests out of it."""

    __slots__ = ("_config", "_head_bytes", "_parsed_bytes", "_parser", "arriving", "is_over", "ready")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._parser = httptools.HttpRequestParser(self)
        self._head_bytes = self._parsed_bytes = 0
        self.arriving: Request | None = None
        self.ready: list[Request] = []
        self.is_over = False
        """What still comes is not a request."""

    def feed(self, data: bytes) -> None:
        """Take in what came."""
        before = self.arriving
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay_in_http(data[upgrade.args[0] :])
        except httptools.HttpParserInvalidMethodError as error:
            self.refuse(_other_verb() if _OTHER_VERB.search(data) else _no_http(error))
        except httptools.HttpParserError as error:
            self.refuse(_no_http(error))
        else:
            self._limit_head(before, len(data))

    def refuse(self, refusal: HttpError) -> None:
        """What arrives is refused, and nothing behind it can be understood."""
        self.arriving = None
        self.is_over = True
        self.ready.append(Request(refusal))

    # What httptools calls.

    def on_message_begin(self) -> None:
        self.arriving = None if self.is_over else Request()
        self._head_bytes = self._parsed_bytes = 0

    def on_url(self, part: bytes) -> None:
        if self.arriving:
            self.arriving.url += part
            self._count(len(part))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        request = self.arriving
        if not request or request.has_head:  # what comes behind a body speaks of nothing any more
            return
        self._count(len(name) + len(value) + 4)
        if name not in _READ:
            if name in _MISSPELT:
                request.refusal = request.refusal or _misspelt(name)
            return
        text = value.decode("latin-1").strip(" \t")
        headers = request.headers
        if name not in headers:
            headers[name] = text
        elif name in _LISTS:
            headers[name] = f"{headers[name]}, {text}"
        elif name in _SINGLE:
            request.refusal = request.refusal or _bad(f"the header {name.decode()} came twice")

    def on_headers_complete(self) -> None:
        request = self.arriving
        if not request:
            return
        request.has_head = True
        request.verb = self._parser.get_method().decode("latin-1")
        version = self._parser.get_http_version()
        request.is_old = version == "1.0"
        try:
            if request.refusal:
                raise request.refusal
            _check_head(request, version)
            if request.path == PATH:
                request.caller = admit(self._config, _head(request), time.monotonic())
        except HttpError as refusal:
            request.refusal = refusal
            # Who asked whether to send the body may leave it out now: nobody can tell what comes next.
            if refusal.closes or request.waits_to_go_on:
                self.refuse(refusal)

    def on_body(self, part: bytes) -> None:
        request = self.arriving
        if not request:
            return
        request.waits_to_go_on = False
        if request.caller:
            request.body.append(part)
            return
        request.dropped_bytes += len(part)
        if request.dropped_bytes > DRAIN_BYTES_MAX:
            self.refuse(request.refusal or HttpError("413 Content Too Large", "no body is expected here"))

    def on_message_complete(self) -> None:
        request, self.arriving = self.arriving, None
        if request:
            request.is_last = request.is_last or not self._parser.should_keep_alive()
            self.ready.append(request)

    def _stay_in_http(self, rest: bytes) -> None:
        """Nothing is offered to upgrade to: a new parser reads on, so that the request gets its body all the same."""
        self._parser = httptools.HttpRequestParser(self)
        if self.is_over:
            return
        request = self.ready[-1]
        length = request.headers.get(b"content-length", "0")
        if request.verb == "CONNECT" or b"transfer-encoding" in request.headers:
            request.is_last = self.is_over = True
        elif int(length):
            self.ready.pop()
            self._parser.feed_data(f"POST / HTTP/1.1\r\nHost:\r\nContent-Length: {length}\r\n\r\n".encode())
            self.arriving = request
        if not self.is_over:
            self.feed(rest)

    def _count(self, size: int) -> None:
        """Bound a head that came whole, in however few reads."""
        self._parsed_bytes += size
        if self._parsed_bytes > HEAD_BYTES_MAX and not self.is_over:
            self.refuse(_long_head())

    def _limit_head(self, before: Request | None, size: int) -> None:
        """Count what came of a head that is not yet whole; the parser hands headers out only when they are."""
        request = self.arriving
        if request and not request.has_head:
            self._head_bytes += size if request is before else 0
            if self._head_bytes > HEAD_BYTES_MAX:
                self.refuse(_long_head())


def _check_head(request: Request, version: str) -> None:
    """What HTTP asks of every request's head, whatever it is for. Raises HttpError."""
    headers = request.headers
    if version not in ("1.1", "1.0"):
        status = "400 Bad Request" if version == "0.9" else "505 HTTP Version Not Supported"
        raise HttpError(status, "this server speaks HTTP/1.1 and HTTP/1.0", closes=True)
    host = headers.get(b"host")
    if host is None and not request.is_old:
        raise _bad("a request of HTTP/1.1 needs a Host")
    if host is not None and not _is_host(host):
        raise _bad("the Host is none")
    if b"#" in request.url:
        raise _bad("the target of a request has no fragment")
    if request.is_old:
        if b"transfer-encoding" in headers:
            raise HttpError("400 Bad Request", "HTTP/1.0 knows no Transfer-Encoding", closes=True)
    elif b"expect" in headers:
        expected = {word.strip().lower() for word in headers[b"expect"].split(",")} - {""}
        request.waits_to_go_on = bool(expected)
        if expected - {"100-continue"}:
            raise HttpError("417 Expectation Failed", "nothing but 100-continue can be expected here")


@functools.lru_cache(maxsize=64)  # clients send one, over and over
def _is_host(value: str) -> bool:
    return _HOST.fullmatch(value) is not None


def _head(request: Request) -> Head:
    get = request.headers.get
    return Head(
        request.verb,
        get(b"content-length"),
        get(b"content-type", ""),
        get(b"authorization", ""),
        get(b"idempotency-key"),
        get(b"oncerpc-attempt"),
        get(b"traceparent"),
    )


def _bad(why: str) -> HttpError:
    return HttpError("400 Bad Request", why)


def _misspelt(name: bytes) -> HttpError:
    return HttpError("400 Bad Request", f"the header {name.decode()} is written with hyphens", closes=True)


def _long_head() -> HttpError:
    return HttpError("431 Request Header Fields Too Large", f"a head may have {HEAD_BYTES_MAX} bytes", closes=True)


def _no_http(error: httptools.HttpParserError) -> HttpError:
    return _bad(f"this is not HTTP: {error}")


def _other_verb() -> HttpError:
    return HttpError("405 Method Not Allowed", f"{PATH} takes POST", ("Allow", "POST"))
