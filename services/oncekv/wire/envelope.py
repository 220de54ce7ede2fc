"""The JSON-RPC 2.0 envelope: bytes to requests, replies to bytes.

`https://www.jsonrpc.org/specification`, sections 4 to 6. A reply's body is encoded once, when the call ran; it is
stored as it is, and a replay only adds its mark, so that the first reply and its replays cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from oncekv.wire.errors import InvalidRequest, ParseError, RpcError

__all__ = ["Reply", "Request", "decode", "encode_batch", "encode_reply", "failure", "mark_replayed", "success"]

_REPLAYED = b'"_meta":{"replayed":true}'
_encode = msgspec.json.Encoder().encode


class Request(NamedTuple):
    """One member of a request body. `fault` is set where the member is no request at all.

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
        content = _decode(body)
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
    """The reply of a call that ran; `result` must encode to a JSON object with at least one member."""
    return Reply(False, _encode(result))


def failure(error: RpcError) -> Reply:
    """The reply that carries `error`."""
    return Reply(True, _encode(error.as_json()))


def mark_replayed(reply: Reply) -> Reply:
    """The same reply with the replay's mark: in the result, or in the error's `data`, which stands last."""
    if reply.failed:
        return Reply(True, reply.body[:-2] + b"," + _REPLAYED + b"}}")
    return Reply(False, reply.body[:-1] + b"," + _REPLAYED + b"}")


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
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        return _faulty(None, "id must be a string, a number or null")
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


def _number(literal: str) -> float:
    """JSON knows one kind of number: 1.0 is the integer 1 wherever an integer is asked for."""
    value = float(literal)
    return int(value) if value.is_integer() else value


_decode = msgspec.json.Decoder(float_hook=_number).decode
