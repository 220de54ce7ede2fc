"""A client of the bank's view, as any HTTP library can be one: POST /transfers, one Idempotency-Key for all attempts.

A reply settles the transfer: 201, or a refusal of the application's own. A reply that says that nothing is decided yet
(5xx; a problem with Retry-After) and no reply in time are tried again, until the deadline; then it is unknown.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from typing import Any, Self
from urllib.parse import urlsplit

import oncerpc
from chaos.net.framing import Message, Unframed
from chaos.net.proxied_connection import Ended, ask
from chaos.workload.clients import RETRY_DELAY_MAX_S, RETRY_FIRST_DELAY_S, ClientPlan, options_of
from oncekv.client import Attempt, Failed, Ok, Outcome, Unknown
from oncerpc.wire.errors import KnownError

__all__ = ["ViewClient"]

_PROBLEM = b"application/problem+json"


class ViewClient:
    """One client; threads may share it. Reads go the way of every service's reads."""

    def __init__(self, plan: ClientPlan) -> None:
        self._plan = plan
        self._reader = oncerpc.connect(plan.links, **{**options_of(plan), "semantics": "at-least-once", "outbox": None})
        self._closed = threading.Event()
        self._rng = random.Random(plan.seed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the calls under way."""
        self._closed.set()
        self._reader.close()

    def outcome(self, method: str, params: dict[str, Any]) -> Outcome:
        """What became of a transfer, or of a read."""
        if method != "bank.transfer":
            return self._reader.outcome(method, params)
        attempts: list[Attempt] = []
        end_s = time.monotonic() + self._plan.call_timeout_s
        while time.monotonic() < end_s and not self._closed.is_set():
            settled = self._attempt(params, attempts)
            if settled is not None:
                return settled
            delay_s = min(RETRY_FIRST_DELAY_S * 2 ** min(len(attempts), 8), RETRY_DELAY_MAX_S)
            self._closed.wait(self._rng.uniform(0, delay_s))
        if any(attempt.result != "not sent" for attempt in attempts):
            return Unknown("no answer by the deadline", attempts=tuple(attempts))
        return Failed(_error("unreachable", "no attempt could be sent"), attempts=tuple(attempts))

    def _attempt(self, params: dict[str, Any], attempts: list[Attempt]) -> Outcome | None:
        """One transmission; None: try again."""
        link = self._plan.links[len(attempts) % len(self._plan.links)]
        began_s = time.monotonic()
        status, said, ending = 0, Message(is_reply=True), "no reply"
        try:
            said = self._send(link, params)
            status = said.status
            ending = "ok" if status == 201 else f"refused ({status})"
        except ConnectionRefusedError:
            ending = "not sent"
        except (OSError, Ended, Unframed):
            pass
        attempts.append(Attempt(len(attempts) + 1, link, began_s, time.monotonic() - began_s, ending))
        is_replay = b"\r\nidempotent-replayed: true" in said.data.lower()
        if status == 201:
            return Ok(json.loads(said.body), is_replay, tuple(attempts))
        if not 400 <= status < 500 or (b"\r\nretry-after:" in said.data.lower() and _PROBLEM in said.data):
            return None
        name = "identity_reused" if status == 422 else "refused_by_the_bank" if status == 409 else "invalid_request"
        return Failed(_error(name, said.body.decode(errors="replace")[:200]), is_replay, tuple(attempts))

    def _send(self, link: str, params: dict[str, Any]) -> Message:
        """Raises OSError, Ended, Unframed."""
        where, timeout_s = urlsplit(link), self._plan.attempt_timeout_s
        body = json.dumps(params).encode()
        key = params["token"].rstrip(";")
        head = (
            f"POST {where.path}/transfers HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
            f'Idempotency-Key: "{key}"\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n'
        )
        with socket.create_connection((where.hostname or "", where.port or 80), timeout_s) as connection:
            return ask(connection, head.encode() + body, timeout_s)


def _error(name: str, message: str) -> KnownError:
    """It stands for what an HTTP client knows of a refusal: a status and words."""
    error = KnownError(message)
    error.name = name
    return error
