"""The JSON-RPC 2.0 envelope: bytes to requests, replies to bytes.

`https://www.jsonrpc.org/specification`, sections 4 to 6. A reply's body is encoded once, when the call ran; it is
stored as it is, and a replay only adds its mark, so that the first reply and its replays cannot drift apart.

An id goes back as it came: 1.0 as 1.0, and of a member that comes twice the last one counts, as JSON parsers have it. A
number that no client could find again (1e400 is infinite, 1e-400 is zero) makes the request invalid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from oncerpc.wire.errors import InvalidRequest, ParseError, RpcError

__all__ = ["Reply", "Request", "decode", "encode_batch", "encode_reply", "failure", "mark_replayed", "success"]

_REPLAYED = b'"_meta":{"replayed":true}'
_encode = msgspec.json.Encoder().encode


class _Floats(Exception):  # no error: it says which decoder to take
    """The body has a number with a fraction or an exponent."""


class _WithId(msgspec.Struct):
    """A request, for its id's text."""

    id: msgspec.Raw


class Request(NamedTuple):
    """One member of a request body. `fault` is set where the member is not a request at all.

    `params` is what the JSON held: a dict, a list, or None where it was left out.
    """

    id: Any
    method: str
    params: dict[str, Any] | list[Any] | None
    is_notification: bool
    fault: RpcError | None = None


class Reply(NamedTuple):
    """What a call answered: the encoded result object, or the encoded error object."""

    failed: bool
    body: bytes


def decode(body: bytes, calls_max: int) -> tuple[bool, list[Request]]:
    """Whether it is a batch, and its requests in order. Raises ParseError or InvalidRequest for the whole body."""
    try:
        content = _parse(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise ParseError() from None
    if not isinstance(content, list):
        return False, [_request(content)]
    if not content:
        raise InvalidRequest("a batch must not be empty")
    if len(content) > calls_max:
        raise InvalidRequest(f"a batch may have at most {calls_max} calls", calls_max=calls_max)
    return True, [_request(member) for member in content]


def success(result: Any) -> Reply:
    """The reply of a call that ran; `result` must encode to a JSON object."""
    return Reply(False, _encode(result))


def failure(error: RpcError) -> Reply:
    """The reply that carries `error`."""
    return Reply(True, _encode(error.as_json()))


def mark_replayed(reply: Reply) -> Reply:
    """The same reply with the replay's mark: in the result, or in the error's `data`, which stands last."""
    if reply.failed:
        return Reply(True, reply.body[:-2] + b"," + _REPLAYED + b"}}")
    comma = b"" if reply.body == b"{}" else b","
    return Reply(False, reply.body[:-1] + comma + _REPLAYED + b"}")


def encode_reply(request_id: Any, reply: Reply) -> bytes:
    """One JSON-RPC response object, with the attempt's own id."""
    member = b'"error":' if reply.failed else b'"result":'
    return b'{"jsonrpc":"2.0","id":' + _encode(request_id) + b"," + member + reply.body + b"}"


def encode_batch(replies: Iterable[bytes]) -> bytes:
    """The array of a batch's response objects."""
    return b"[" + b",".join(replies) + b"]"


def _request(member: Any) -> Request:
    """One member as a request, or with the fault that makes it none; a usable id is kept for the reply."""
    if not isinstance(member, dict):
        return _faulty(None, "a request must be an object")
    request_id = member.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | msgspec.Raw | None):
        return _faulty(None, "id must be a string, a number or null")
    if isinstance(request_id, msgspec.Raw) and not _is_within_range(bytes(request_id)):
        return _faulty(None, "id must be a number that a double can hold")
    if member.get("jsonrpc") != "2.0":
        return _faulty(request_id, 'jsonrpc must be exactly "2.0"')
    method = member.get("method")
    if not isinstance(method, str):
        return _faulty(request_id, "method must be a string")
    params = member.get("params")
    if not isinstance(params, dict | list) and "params" in member:
        return _faulty(request_id, "params must be an object or an array")
    return Request(request_id, method, params, "id" not in member)


def _faulty(request_id: Any, why: str) -> Request:
    return Request(request_id, "", None, False, InvalidRequest(why))


def _parse(body: bytes) -> Any:
    """What the body holds; an id whose number is not written as an integer is kept as its text."""
    try:
        content = _decode(body)
    except _Floats:
        content = _decode_floats(body)
    else:
        if b"-0" not in body:  # the one integer that Python cannot give back
            return content
    members, texts = (content, _texts(body)) if isinstance(content, list) else ([content], [body])
    for member, text in zip(members, texts, strict=True):
        if isinstance(member, dict) and type(member.get("id")) in (int, float):
            written = _with_id(text).id
            if bytes(written) == b"-0" or not bytes(written).lstrip(b"-").isdigit():
                member["id"] = written
    return content


def _is_within_range(number: bytes) -> bool:
    """Whether the number is neither infinite nor zero only because it is too large or too small."""
    value = float(number)
    mantissa = number.lower().partition(b"e")[0]
    return math.isfinite(value) and (value != 0 or not mantissa.strip(b"-0."))


def _number(literal: str) -> float:
    """JSON knows one kind of number: 1.0 is the integer 1 wherever an integer is asked for."""
    value = float(literal)
    return int(value) if value.is_integer() else value


def _stop(_: str) -> float:
    raise _Floats


_decode = msgspec.json.Decoder(float_hook=_stop).decode
_decode_floats = msgspec.json.Decoder(float_hook=_number).decode
_texts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_with_id = msgspec.json.Decoder(_WithId).decode
