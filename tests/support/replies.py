"""JSON-RPC replies, taken apart and checked against the registry of PROTOCOL.md, section 5."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

__all__ = ["ERRORS", "Answer", "HttpReply", "expect"]

ERRORS: dict[int, tuple[str, bool]] = {
    -32700: ("parse_error", True),
    -32600: ("invalid_request", True),
    -32601: ("method_not_found", True),
    -32602: ("invalid_params", True),
    -32603: ("internal_error", False),
    11: ("overloaded", True),
    22: ("version_mismatch", True),
    23: ("not_an_integer", True),
    24: ("too_large", True),
    1001: ("session_unknown", False),
    1002: ("identity_reused", True),
    1003: ("stale_call", False),
    1004: ("window_exceeded", True),
    1005: ("expired", True),
    1006: ("too_many_sessions", True),
}
"""Code -> (name, definite), as section 5 lists them."""


@dataclass(frozen=True)
class Answer:
    """One JSON-RPC response object, with the HTTP status and headers that brought it."""

    id: Any
    result: Any
    error: dict[str, Any] | None
    status: int = 200
    headers: Message = field(default_factory=Message)

    @classmethod
    def parse(cls, response: Any, status: int = 200, headers: Message | None = None) -> Answer:
        """Check the members that section 5 of the JSON-RPC specification demands of every response object."""
        assert isinstance(response, dict), response
        assert response["jsonrpc"] == "2.0", response
        assert "id" in response, response
        assert ("result" in response) != ("error" in response), f"exactly one of result and error: {response}"
        return cls(response["id"], response.get("result"), response.get("error"), status, headers or Message())

    @property
    def code(self) -> int | None:
        """The error's code; None for a result."""
        return None if self.error is None else self.error["code"]

    @property
    def ok(self) -> dict[str, Any]:
        """The result, which must be one, and must be an object; the replay mark stays in it."""
        assert self.error is None, self.error
        assert isinstance(self.result, dict), self.result
        return self.result

    @property
    def replayed(self) -> bool:
        """Whether the reply carries the replay mark of section 4."""
        return self._marked().get("_meta", {}).get("replayed") is True

    @property
    def bare(self) -> dict[str, Any]:
        """The outcome without mark and id: what must be equal on every attempt of a call."""
        stripped = {name: value for name, value in self._marked().items() if name != "_meta"}
        return {"result": stripped} if self.error is None else {"error": {**self.error, "data": stripped}}

    def _marked(self) -> dict[str, Any]:
        return self.ok if self.error is None else self.error["data"]


@dataclass(frozen=True)
class HttpReply:
    """An HTTP response, read to its end."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def answer(self) -> Answer:
        """The body as one response object."""
        return Answer.parse(self.json, self.status, self.headers)

    @property
    def answers(self) -> list[Answer]:
        """The body as the response of a batch."""
        assert isinstance(self.json, list), self.body
        return [Answer.parse(response) for response in self.json]


def expect(answer: Answer, code: int, status: int | None = None) -> dict[str, Any]:
    """The answer is this error, in the shape of section 5 and under the right HTTP status; returns `error.data`."""
    name, definite = ERRORS[code]
    assert answer.error is not None, f"{name} expected, but got the result {answer.result}"
    assert answer.error["code"] == code, f"{name} expected, but got {answer.error}"
    assert isinstance(answer.error["message"], str), answer.error
    data = answer.error["data"]
    assert data["name"] == name, answer.error
    assert data["definite"] is definite, answer.error
    assert answer.status == (status or 200), answer
    return dict(data)
