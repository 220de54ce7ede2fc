"""The last request of a client, so that the very same bytes can be sent once more: a retry that anybody can watch.

It stands where the client's transport (3) would be. What is sent again has the first one's identity, so a server that
keeps its records answers from them; without an identity (maybe, at-least-once) it is one more call, and runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from oncerpc.client.outcome import Attempt
from oncerpc.client.transport.attempt_result import AttemptResult, Lost, NotSent, describe
from oncerpc.client.transport.http import HttpTransport
from oncerpc.client.transport.reply import Received, read_single

__all__ = ["LastRequest", "Sent"]


class Sent(NamedTuple):
    """One POST, as it went. Its body may name a session, which is the client's secret: never show it whole."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    timeout_s: float


class _Head(msgspec.Struct):
    id: int
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")


class _Params(msgspec.Struct):
    meta: dict[str, object] = msgspec.field(default_factory=dict, name="_meta")


class LastRequest:
    """A transport that remembers."""

    def __init__(self, inner: HttpTransport) -> None:
        self._inner = inner
        self._sent: Sent | None = None

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received | Lost | NotSent:
        self._sent = Sent(url, body, headers, timeout_s)
        return self._inner.post(url, body, headers, timeout_s)

    def close(self) -> None:
        self._inner.close()

    def of(self, method: str) -> Sent | None:
        """The last request, if it was one of this method: a call whose session could not be opened was never sent."""
        sent = self._sent
        return sent if sent is not None and msgspec.json.decode(sent.body, type=_Head).method == method else None

    def again(self, sent: Sent, number: int, link: str) -> tuple[Attempt, AttemptResult]:
        """Send it once more: the attempt with this number, and how it ended."""
        started_s = time.monotonic()
        received = self._inner.post(*sent)
        took_s = time.monotonic() - started_s
        if isinstance(received, Received):
            result: AttemptResult = read_single(received, msgspec.json.decode(sent.body, type=_Head).id)
        else:
            result = received
        return Attempt(number, link, started_s, took_s, describe(result)), result


def has_identity(sent: Sent) -> bool:
    """Whether a server can know it again."""
    head = msgspec.json.decode(sent.body, type=_Head)
    return "seq" in msgspec.json.decode(head.params, type=_Params).meta
