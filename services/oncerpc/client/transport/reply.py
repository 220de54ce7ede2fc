"""What came back over HTTP, read as the result of each call that was sent: bytes in, results out.

A body counts as a reply only if it is whole, UTF-8 JSON, a JSON-RPC 2.0 response and carries the id that was
sent, of the same type. Anything else is `Lost`, never a failure: Toxiproxy's `limit_data` for one cuts the header so
that an effect which did happen answers with HTTP 200, an empty body and no error at all. HTTP statuses that say that
nothing ran are definite; every 5xx but our own 503 `overloaded` is not, since a server may fail after it has run the
call.

Place on the way: between transport (3) and `decision` (2), on the way back. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import msgspec

from oncerpc.client.outcome import HttpRefused, UnlistedError
from oncerpc.client.transport.attempt_result import Answered, AttemptResult, Errored, Lost
from oncerpc.wire.errors import (
    REGISTRY,
    SERVICE_CODE_MIN,
    IdentityReused,
    InvalidRequest,
    KnownError,
    Overloaded,
    ParseError,
    RpcError,
)

__all__ = ["Received", "read_batch", "read_single"]

_DEFINITE_STATUSES = frozenset({400, 401, 403, 404, 405, 411, 413, 415, 422})
_BY_STATUS = {503: Overloaded, 422: IdentityReused}
_FOR_THE_WHOLE_BODY = (ParseError, InvalidRequest, Overloaded)


class Received(NamedTuple):
    """One whole HTTP response. `retry_after` and `replayed` are the headers of these names, None where absent."""

    status: int
    body: bytes
    retry_after: str | None = None
    replayed: str | None = None


class _BadReply(Exception):
    """The body is not a reply to what was sent; the message says why in a few words."""


_Responses: TypeAlias = dict[int, AttemptResult]


def read_single(received: Received, request_id: int) -> AttemptResult:
    """The result of the one call that was sent."""
    return _read(received, [request_id], in_batch=False)[0]


def read_batch(received: Received, request_ids: Sequence[int]) -> list[AttemptResult]:
    """The result of each call of a batch, in the order sent; a call that the reply leaves out is lost."""
    return _read(received, request_ids, in_batch=True)


def _read(received: Received, ids: Sequence[int], *, in_batch: bool) -> list[AttemptResult]:
    retry_after_s = _seconds(received.retry_after)
    try:
        content = _decode(received.body)
        if in_batch and isinstance(content, list) and received.status in (200, 503):
            return [_at_status(received.status, result) for result in _pick(content, ids, retry_after_s)]
        result = _response(content, ids[0] if not in_batch else None, received, retry_after_s)
    except _BadReply as fault:
        result = _by_status(received, str(fault), retry_after_s)
    return [result] * len(ids)


def _pick(members: list[Any], ids: Sequence[int], retry_after_s: float | None) -> list[AttemptResult]:
    found: _Responses = {}
    for member in members:
        request_id = member.get("id") if isinstance(member, dict) else None
        if _is_id(request_id) and request_id not in found:
            try:
                found[request_id] = _body_of(member, retry_after_s)
            except _BadReply as fault:
                found[request_id] = Lost(f"bad reply: {fault}")
    return [found.get(request_id, Lost("bad reply: left out of the batch's reply")) for request_id in ids]


def _at_status(status: int, result: AttemptResult) -> AttemptResult:
    """A batch that comes with 503 was refused for load, call by call; whatever else stands in it is not a refusal."""
    if status == 200 or (isinstance(result, Errored) and isinstance(result.error, _BY_STATUS[status])):
        return result
    return Lost(f"bad reply: HTTP {status}")


def _response(content: Any, request_id: int | None, received: Received, retry_after_s: float | None) -> AttemptResult:
    """One response object that answers the whole body: `request_id` is None where that was a batch."""
    if not isinstance(content, dict):
        raise _BadReply("not a JSON-RPC response")
    result = _body_of(content, retry_after_s)
    error = result.error if isinstance(result, Errored) else None
    if received.status != 200:
        if isinstance(error, _BY_STATUS.get(received.status, ())):
            return result
        raise _BadReply(error.message if error is not None else "not an error")
    is_ours = request_id is not None and _is_id(content.get("id")) and content["id"] == request_id
    is_for_the_body = content.get("id") is None and isinstance(error, _FOR_THE_WHOLE_BODY)
    if not is_ours and not is_for_the_body:
        raise _BadReply("the id of another request")
    return _marked(result, received)


def _is_id(member: Any) -> TypeGuard[int]:
    """Of the type that we send: to Python 1 is equal to 1.0 and to True, to JSON it is not."""
    return type(member) is int


def _body_of(response: dict[str, Any], retry_after_s: float | None) -> AttemptResult:
    if response.get("jsonrpc") != "2.0" or ("result" in response) == ("error" in response):
        raise _BadReply("not a JSON-RPC response")
    if "error" in response:
        return _errored(response["error"], retry_after_s)
    result = response["result"]
    mark = result.pop("_meta", None) if isinstance(result, dict) else None
    return Answered(result, _is_replay(mark))


def _errored(member: Any, retry_after_s: float | None) -> Errored:
    if not isinstance(member, dict) or type(member.get("code")) is not int:
        raise _BadReply("not a JSON-RPC error")
    data = member.get("data")
    facts = dict(data) if isinstance(data, dict) else {}
    mark = facts.pop("_meta", None)
    error = _known(member["code"], str(member.get("message", "")), facts)
    return Errored(error, _is_replay(mark), retry_after_s)


def _known(code: int, message: str, facts: dict[str, Any]) -> RpcError:
    """The error of this code: one of the registry, or a service's own."""
    kind = REGISTRY.get(code)
    if kind is None and code < SERVICE_CODE_MIN:
        return _error(UnlistedError, message, {**facts, "code": code})
    name, definite = facts.pop("name", None), facts.pop("definite", None)
    if kind is not None:
        return _error(kind, message, facts)
    error = RpcError(code, str(name), message, definite=definite is True)
    error.facts = facts
    return error


def _error(kind: type[KnownError], message: str, facts: dict[str, Any]) -> RpcError:
    error = kind(message)
    error.facts = facts
    return error


def _by_status(received: Received, fault: str, retry_after_s: float | None) -> AttemptResult:
    """What the status alone says; `fault` is what is wrong with the body, or what a refusal's body says."""
    status = received.status
    if status in _DEFINITE_STATUSES:
        return Errored(_error(HttpRefused, f"HTTP {status}: {fault}", {"status": status}), retry_after_s=retry_after_s)
    return Lost(f"bad reply: {fault}" if status == 200 else f"bad reply: HTTP {status}", retry_after_s)


def _marked(result: AttemptResult, received: Received) -> AttemptResult:
    """An Idempotency-Key's replay is marked in a header as well."""
    if received.replayed == "true" and isinstance(result, Answered):
        return Answered(result.result, True)
    return result


def _is_replay(mark: Any) -> bool:
    return isinstance(mark, dict) and mark.get("replayed") is True


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is passed over: it would need a clock that both sides share."""
    try:
        seconds = float(retry_after) if retry_after is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None


def _decode(body: bytes) -> Any:
    if not body:
        raise _BadReply("empty")
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise _BadReply("not JSON, or cut") from None
