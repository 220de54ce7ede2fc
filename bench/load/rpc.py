"""What the measurements themselves ask of a server, outside the measured time: sessions, single calls, counters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
import requests

__all__ = ["Rpc", "RpcFailed"]

TIMEOUT_S = 60.0
PORTION = 1_000
_COUNTER = re.compile(r"^(oncekv_\w+?)(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


class RpcFailed(Exception):
    """The server answered something else than a result."""


class Rpc:
    """One connection to one server; a context manager."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = requests.Session()
        self._http.trust_env = False  # the machine's proxy has nothing to do with the loopback

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """The result of one call. Raises RpcFailed."""
        return self.batch([(method, params)])[0]

    def batch(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
        """The results of some calls in one request, in order. Raises RpcFailed."""
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        reply = self._http.post(
            f"{self._url}/rpc",
            msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
            timeout=TIMEOUT_S,
        )
        answers = msgspec.json.decode(reply.content)
        for answer in answers if isinstance(answers, list) else [answers]:
            if "result" not in answer:
                raise RpcFailed(f"HTTP {reply.status_code}: {str(answer)[:300]}")
        return [answer["result"] for answer in answers]

    def open_sessions(self, count: int, **params: Any) -> list[str]:
        """The names of new sessions."""
        names: list[str] = []
        while len(names) < count:
            portion = min(PORTION, count - len(names))
            names += [opened["session"] for opened in self.batch([("session.open", params)] * portion)]
        return names

    def counters(self) -> dict[str, float]:
        """The sums of the server's metrics over their labels."""
        text = self._http.get(f"{self._url}/metrics", timeout=TIMEOUT_S).text
        sums: dict[str, float] = {}
        for name, value in _COUNTER.findall(text):
            sums[name] = sums.get(name, 0.0) + float(value)
        return sums
