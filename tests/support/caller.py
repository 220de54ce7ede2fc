"""A stranger's client: JSON-RPC over http.client, keep-alive, one connection a thread, and never a retry."""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.replies import Answer, HttpReply

__all__ = ["LOST", "Caller", "Session", "request"]

LOST = (HTTPException, OSError)
"""What `Caller` raises when a reply does not come: the connection was refused, reset, closed or silent."""


def request(method: str, params: Any = None, **members: Any) -> dict[str, Any]:
    """A request object; without `id=` it is a notification, without `params` it has none."""
    return {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params}), **members}


class Caller:
    """Calls one server. Methods that name a call's params take them as keywords, `_meta` included."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 15.0) -> None:
        self.url = url
        components = urlsplit(url)
        self._address = (components.hostname or "", components.port or 80)
        self._token = token
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._opened: list[HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._opened:
            connection.close()

    def call(self, method: str, /, **params: Any) -> Answer:
        """One single request with by-name params; its response object, whatever the HTTP status."""
        return self.send(request(method, params, id=1)).answer

    def ok(self, method: str, /, **params: Any) -> dict[str, Any]:
        """As `call`, and the result must be one."""
        return self.call(method, **params).ok

    def keyed(self, idempotency_key: str, method: str, /, **params: Any) -> Answer:
        """As `call`, with an Idempotency-Key header."""
        return self.send(request(method, params, id=1), {"Idempotency-Key": idempotency_key}).answer

    def get(self, key: str) -> tuple[str | None, int]:
        """The key's value and version."""
        result = self.ok("kv.get", key=key)
        return result["value"], result["version"]

    def open(self, **params: Any) -> Session:
        """A new session."""
        return Session(self, self.ok("session.open", **params)["session"])

    def send(self, document: Any, headers: Mapping[str, str] | None = None) -> HttpReply:
        """POST any JSON document to /rpc."""
        return self.post(json.dumps(document).encode(), headers)

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> HttpReply:
        """POST any bytes to /rpc, as JSON unless a header says otherwise."""
        return self.fetch("POST", "/rpc", body, {"Content-Type": "application/json", **(headers or {})})

    def fetch(
        self, verb: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpReply:
        """One HTTP exchange on this thread's connection; one of LOST when no reply comes."""
        connection = self._connection()
        bearer = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        try:
            connection.request(verb, path, body, {**bearer, **(headers or {})})
            response = connection.getresponse()
            return HttpReply(response.status, response.headers, response.read())
        except LOST:
            connection.close()
            raise

    def _connection(self) -> HTTPConnection:
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection(*self._address, timeout=self._timeout_s)
            self._opened.append(connection)
        elif connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # the server closed it meanwhile; http.client dials anew, and nothing is sent twice
        return connection


@dataclass(frozen=True)
class Session:
    """A session's name and the caller that opened it; spells `_meta`."""

    kv: Caller
    name: str

    def call(self, method: str, /, *, meta: Mapping[str, Any] | None = None, **params: Any) -> Answer:
        """A call in this session; `meta` holds seq, acked, timeout_ms."""
        return self.kv.call(method, **params, _meta={"session": self.name, **(meta or {})})

    def do(self, seq: int, method: str, /, **params: Any) -> Answer:
        """An attempt of the call `(session, seq)`, without an acknowledgement."""
        return self.call(method, meta={"seq": seq}, **params)

    def ack(self, acked: int) -> None:
        """Acknowledge without making a call."""
        assert "lease_ms" in self.call("session.renew", meta={"acked": acked}).ok

    def close(self) -> None:
        """End the session."""
        assert self.call("session.close").ok == {"closed": True}

    def at(self, kv: Caller) -> Session:
        """The same session, called over another caller."""
        return Session(kv, self.name)
