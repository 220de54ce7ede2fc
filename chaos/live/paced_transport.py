"""The transport of a client that lives by the pace: the same HTTP, and patience by that clock and no other.

A client that has waited long enough ends its connection, as it would with a timeout of its own; but no client loses
patience with a message that somebody is looking at. What is no call of the workload (a session is opened, say) has a
usual timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chaos.live.pace import Pace
from chaos.net.message_proxy import call_of
from oncerpc.client.transport.attempt_result import Lost, NotSent
from oncerpc.client.transport.http import HttpTransport
from oncerpc.client.transport.reply import Received
from oncerpc.wire.identity import ATTEMPT_HEADER

__all__ = ["MARGIN_S", "PacedTransport"]

MARGIN_S = 1.0
"""What an attempt may take beyond the way there and back."""
OTHERS_MAX_S = 2.0
REAL_MAX_S = 24 * 3600.0


class PacedTransport:
    """One client's. give_up: ends the connection on which that attempt of that call waits, by the link's URL."""

    def __init__(self, client: str, pace: Pace, give_up: Callable[[str, str, int], None], links: int) -> None:
        self._client = client
        self._pace = pace
        self._give_up = give_up
        self._http = HttpTransport(links)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Received | Lost | NotSent:
        """As the transport that it stands for."""
        call = call_of(body)
        if call is None:
            return self._http.post(url, body, headers, min(timeout_s, OTHERS_MAX_S))
        attempt = int(headers.get(ATTEMPT_HEADER, 1))
        patience = self._pace.begin(
            min(timeout_s, 2 * self._pace.travel_s + MARGIN_S),
            f"{self._client} gives up waiting for a reply to attempt {attempt} of {call}",
            owner=self._client,
            then=lambda: self._give_up(url, call, attempt),
        )
        received = self._http.post(url, body, headers, REAL_MAX_S)
        if not self._pace.cancel(patience) and isinstance(received, Lost | NotSent):
            return Lost("timed out")
        return received

    def close(self) -> None:
        self._http.close()
