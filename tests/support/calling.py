"""JSON-RPC through Flask's test client, in the words of `tests.support.caller`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

from flask import Flask

from tests.support.caller import request
from tests.support.replies import Answer

__all__ = ["Rpc", "RpcSession"]


@dataclass(frozen=True)
class Rpc:
    """`/rpc` of an application; a test client of its own for each request, so any thread may ask."""

    app: Flask
    headers: Mapping[str, str] | None = None

    def call(self, method: str, /, **params: Any) -> Answer:
        """One call with by-name params; its response object."""
        return self.send(request(method, params, id=1))

    def keyed(self, idempotency_key: str, method: str, /, **params: Any) -> Answer:
        """As `call`, with an Idempotency-Key header."""
        return self.send(request(method, params, id=1), {"Idempotency-Key": idempotency_key})

    def send(self, document: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """POST a request."""
        return self._parse(self.post(document, headers))

    def batch(self, *requests: Any) -> list[Answer]:
        """POST a batch."""
        return [Answer.parse(one) for one in json.loads(self.post(list(requests)).data)]

    def post(self, document: Any, headers: Mapping[str, str] | None = None) -> Any:
        """POST any JSON; Flask's response."""
        everything = {**(self.headers or {}), **(headers or {})}
        return self.app.test_client().post("/rpc", json=document, headers=everything)

    def open(self, **params: Any) -> RpcSession:
        """A new session."""
        return RpcSession(self, self.call("session.open", **params).ok["session"])

    def _parse(self, response: Any) -> Answer:
        head = Message()
        for name, value in response.headers:
            head[name] = value
        return Answer.parse(json.loads(response.data), response.status_code, head)


@dataclass(frozen=True)
class RpcSession:
    """A session; spells `_meta`."""

    rpc: Rpc
    name: str

    def do(self, seq: int, method: str, /, *, acked: int = 0, **params: Any) -> Answer:
        """An attempt of the call `(session, seq)`."""
        meta = {"session": self.name, "seq": seq, **({"acked": acked} if acked else {})}
        return self.rpc.call(method, **params, _meta=meta)

    def at(self, rpc: Rpc) -> RpcSession:
        """The same session at another application."""
        return RpcSession(rpc, self.name)
