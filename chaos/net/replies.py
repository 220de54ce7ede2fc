"""Replies, as a message proxy reads and writes them: what one says, and refusals of its own. Pure.

A refusal of the message proxy's is what the server sends where it refuses (services/oncerpc/server/http/endpoint.py),
byte for byte but for its wish: it asks for no pause, so that a run need not wait.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import oncekv.kv  # noqa: F401 its errors are in the registry
from chaos.net.framing import Message
from oncerpc.wire.errors import REGISTRY, SERVICE_CODE_MIN, InvalidRequest, Overloaded
from oncerpc.wire.jsonrpc import encode_reply, failure

__all__ = ["NO_ANSWER", "REFUSE_413", "REFUSE_503", "ReplySummary", "read", "refusal"]

REFUSE_413 = "refuse-413"
"""Answered in the server's stead as a body over its limit; nothing is passed on."""
REFUSE_503 = "refuse-503"
"""Answered in the server's stead as `overloaded`; nothing is passed on."""

_RECORDED = frozenset(error.name for error in REGISTRY.values() if error.recorded)


class ReplySummary(NamedTuple):
    """What a reply says.

    answer: "ok", "replayed" (a result or a recorded error), the name of another error, "not JSON-RPC" or "no answer".
    content: the result or error without the replay's mark, which every attempt of a call must be told alike.
    is_own: an error of the service's own, which is recorded. by_key: the reply of a view, under an Idempotency-Key:
    what it remembers is never acknowledged.
    """

    answer: str
    content: Any = None
    is_own: bool = False
    by_key: bool = False

    @property
    def settles(self) -> bool:
        """Whether it is the reply of a call that ran, now or before, and no refusal."""
        return self.answer in ("ok", "replayed") or self.answer in _RECORDED or self.is_own


NO_ANSWER = ReplySummary("no answer")


def read(reply: Message, *, by_view: bool = False) -> ReplySummary:
    """What a whole reply says, of a method or of a view."""
    if by_view:
        return _read_view(reply)
    try:
        response: dict[str, Any] = json.loads(reply.body)
        content: dict[str, Any] = response["error"] if "error" in response else response["result"]
        marked: dict[str, Any] = content["data"] if "error" in response else content
        is_replay = bool(marked.pop("_meta", {}).get("replayed"))
        name = str(content["data"]["name"]) if "error" in response else "ok"
        is_own = "error" in response and response["error"].get("code", 0) >= SERVICE_CODE_MIN
        return ReplySummary("replayed" if is_replay else name, content, is_own)
    except (ValueError, LookupError, TypeError, AttributeError):
        return ReplySummary("not JSON-RPC")


def _read_view(reply: Message) -> ReplySummary:
    """Below 500 and no problem (RFC 9457) it is the reply of a request that ran."""
    head = bytes(reply.data).partition(b"\r\n\r\n")[0].lower()
    if reply.status >= 500 or b"application/problem+json" in head:
        return ReplySummary(f"HTTP {reply.status}", by_key=True)
    is_replay = b"\r\nidempotent-replayed: true" in head
    content = (reply.status, reply.body.decode(errors="replace"))
    return ReplySummary("replayed" if is_replay else "ok", content, by_key=True)


def refusal(action: str, request_body: bytes) -> bytes:
    """The whole HTTP reply that refuses one call. `action`: REFUSE_413 or REFUSE_503."""
    if action == REFUSE_503:
        body = encode_reply(json.loads(request_body)["id"], failure(Overloaded()))
        return _reply("503 Service Unavailable", body, "Retry-After: 0\r\n")
    assert action == REFUSE_413, action
    # The server has not read the body that it finds too large, so it cannot know the request's id.
    return _reply("413 Content Too Large", encode_reply(None, failure(InvalidRequest("too large", http_status=413))))


def _reply(status: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body
