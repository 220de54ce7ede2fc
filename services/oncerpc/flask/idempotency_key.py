"""The Idempotency-Key header of a view, and what it is bound to.

The key as the IETF draft "The Idempotency-Key HTTP Header Field" has it: a quoted string of Structured Fields (RFC
9651, section 3.3.3), or bare, as most clients send it; both spell the same key. It is bound to verb, path, query and
body: a body of JSON is compared as a value, so white space and the order of members do not matter, any other byte by
byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any

import msgspec
from flask import Request

from oncerpc.wire.fingerprint import FINGERPRINT_BYTES
from oncerpc.wire.identity import KEY_LENGTH_MAX, is_idempotency_key

__all__ = ["KeyMalformed", "read_key", "request_fingerprint"]

HEADER = "HTTP_IDEMPOTENCY_KEY"  # as WSGI has it
_ESCAPE = re.compile(r"\\(.)")


class KeyMalformed(Exception):
    """The header is there and no key; the message says what is wrong."""


def read_key(request: Request) -> str | None:
    """The key, None where there is no header. Raises KeyMalformed."""
    header = request.environ.get(HEADER)
    if header is None:
        return None
    key = _unquoted(header)
    if "," in key:  # a server joins headers that come twice by a comma, so one with a comma may be two
        raise KeyMalformed("it came more than once, or has a comma")
    if not is_idempotency_key(key):
        raise KeyMalformed(f"it must have 1 to {KEY_LENGTH_MAX} visible ASCII characters and no space")
    return key


def _unquoted(header: str) -> str:
    if not header.startswith('"'):
        return header
    inner = header[1:-1]
    bare = _ESCAPE.sub("", inner)
    if len(header) < 2 or not header.endswith('"') or '"' in bare or "\\" in bare:
        raise KeyMalformed('a quoted key must end with its quote, and a quote within it be written \\"')
    if any(escaped not in '"\\' for escaped in _ESCAPE.findall(inner)):
        raise KeyMalformed('in a quoted key a backslash stands before a quote or another one: \\" or \\\\')
    return _ESCAPE.sub(r"\1", inner)


def request_fingerprint(request: Request) -> bytes:
    """What tells a retry of this request from another one: 16 bytes over verb, path, query and body (BLAKE2b)."""
    path = (request.root_path + request.path).encode()
    whole = [request.method.encode(), path, request.query_string, *_body(request)]
    framed = b"".join([part for each in whole for part in (len(each).to_bytes(8, "big"), each)])
    return hashlib.blake2b(framed, digest_size=FINGERPRINT_BYTES).digest()


def _body(request: Request) -> list[bytes]:
    body = request.get_data(cache=True)
    if not body and request.form:  # a hook before the view has parsed the form, and the bytes are gone
        return [*_form(request)]
    return [_as_value(body) if body and request.is_json else body]


def _form(request: Request) -> Iterator[bytes]:
    yield msgspec.json.encode(list(request.form.items(multi=True)))
    for name, upload in request.files.items(multi=True):
        position = upload.stream.tell()
        upload.stream.seek(0)
        yield msgspec.json.encode((name, upload.filename, upload.mimetype))
        yield hashlib.blake2b(upload.stream.read()).digest()
        upload.stream.seek(position)


def _as_value(body: bytes) -> bytes:
    """The same bytes for equal JSON values; the body itself where it is no JSON."""
    try:
        return _encode(_decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, ArithmeticError):
        return body


def _number(literal: str) -> Any:
    """A number with a fraction or an exponent, written in one way only: 1.0 and 1e0 as 1, exactly."""
    number = Decimal(literal)
    if number == number.to_integral_value() and number.adjusted() < DIGITS_MAX:
        return int(number)
    digits = Context(prec=max(1, len(number.as_tuple().digits)))  # the usual one would round to 28
    return msgspec.Raw(str(number.normalize(digits)).encode())


DIGITS_MAX = 400
_decode = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder(order="deterministic").encode
