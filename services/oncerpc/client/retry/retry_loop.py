"""The loop around the attempts: send, weigh the result, wait, send again, until every call is settled.

A batch is several calls in one POST; a single call is the same loop with one. Each attempt goes out under the call's
own identity, over the next link after one that failed, with what is left of the caller's patience.

    run ──► send ──► transport (3) ──► reply ──► verdict ──► settled
     ▲                                              │
     └───────────── wait (schedule) ◄───────────────┘ again

`timeout_ms` tells the server how long an answer is of use. For a call without identity that is this attempt's own
time: run later, it would be one effect too many. For one with an identity it is the time to the caller's deadline: an
attempt that runs late is not a loss, for the next one is answered from its record, whereas refusing it would, on an
overloaded server, make every retry queue up behind from the start. Exactly-once wants its effect however late.

Place on the way: retry (2). Thin: decisions are in `decision` and `backoff`; clock, pause, random source and transport
come from outside, so the same loop runs in a simulated network. Guarantee: no wait and no attempt reaches past the
deadline. Limit: one that closing the client interrupts ends like one whose deadline has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from oncerpc.client.outcome import Attempt
from oncerpc.client.retry.backoff import attempt_timeout_s, backoff_delay_s
from oncerpc.client.retry.decision import decide, give_up
from oncerpc.client.retry.options import Options
from oncerpc.client.retry.pending_call import PendingCall
from oncerpc.client.transport.attempt_result import AttemptResult, Errored, Lost, NotSent, describe
from oncerpc.client.transport.binding import Link
from oncerpc.client.transport.http import Transport
from oncerpc.client.transport.reply import read_batch, read_single
from oncerpc.client.transport.request import encode_request
from oncerpc.wire.identity import ATTEMPT_HEADER

if TYPE_CHECKING:
    from oncerpc.client.tracing import ClientTracing

__all__ = ["Environment", "RetryLoop"]


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything impure that a client touches. `pause(seconds)` may return early; `uniform(a, b)` draws from [a, b]."""

    transport: Transport
    clock: Callable[[], float]
    pause: Callable[[float], object]
    uniform: Callable[[float, float], float]
    is_closed: Callable[[], bool] = lambda: False
    tracing: ClientTracing | None = None
    """Spans, where somebody wants them."""


class RetryLoop:
    """Makes the attempts. Safe for threads: each runs its own calls."""

    def __init__(self, links: Sequence[Link], options: Options, environment: Environment) -> None:
        assert links, "a client needs a link"
        self.environment = environment
        self._links = tuple(links)
        self._options = options
        self._headers = {"Authorization": f"Bearer {options.token}"} if options.token is not None else {}
        self._first_link = 0
        self._ids = count(1)

    def run(self, calls: Sequence[PendingCall], deadline_s: float | None, *, in_batch: bool = False) -> None:
        """Makes attempts until each call has its outcome or needs another identity."""
        waiting = [call for call in calls if call.is_waiting]
        first_link, rounds = self._first_link, 0
        while waiting:
            timeout_s = attempt_timeout_s(self._options.retry, self.left_s(deadline_s))
            if timeout_s is None or self.environment.is_closed():
                break
            at = (first_link + rounds) % len(self._links)
            rounds += 1
            results = self._send(waiting, self._links[at], timeout_s, deadline_s, in_batch)
            if self._options.stays_on_good_link and not isinstance(results[0], Lost | NotSent):
                self._first_link = at
            waiting = [call for call in waiting if call.is_waiting]
            if waiting and not self._wait(rounds, results, deadline_s):
                break
        self._give_up(waiting)

    def left_s(self, deadline_s: float | None) -> float | None:
        """The time to a deadline, None where there is none."""
        return None if deadline_s is None else deadline_s - self.environment.clock()

    def _send(
        self, calls: Sequence[PendingCall], link: Link, timeout_s: float, deadline_s: float | None, in_batch: bool
    ) -> list[AttemptResult]:
        """One POST: an attempt of each of the calls; each is judged."""
        ids = [next(self._ids) for _ in calls]
        useful_ms = _ms(timeout_s), _ms(self.left_s(deadline_s))
        requests = [self._request(*pair, *useful_ms) for pair in zip(ids, calls, strict=True)]
        body = b"[%b]" % b",".join(requests) if in_batch else requests[0]
        headers = self._headers if in_batch else {**self._headers, **calls[0].headers}
        if (number := calls[0].next_number) > 1:
            headers = {**headers, ATTEMPT_HEADER: str(number)}
        tracing = self.environment.tracing
        span = None if tracing is None else tracing.attempt(calls, link.name)
        if span is not None:
            headers = {**headers, **span.headers}
        started_s = self.environment.clock()
        received = self.environment.transport.post(link.url, body, headers, timeout_s)
        took_s = self.environment.clock() - started_s
        if isinstance(received, Lost | NotSent):
            results: list[AttemptResult] = [received] * len(ids)
        else:
            read = read_batch(received, ids) if in_batch else [read_single(received, ids[0])]
            results = [call.kind.checked(result) for call, result in zip(calls, read, strict=True)]
        for call, result in zip(calls, results, strict=True):
            verdict = decide(call.kind, call.history, result)
            call.note(Attempt(call.next_number, link.name, started_s, took_s, describe(result)), result)
            call.settle(verdict)
        if span is not None:
            span.end([describe(result) for result in results])
        return results

    def _request(self, request_id: int, call: PendingCall, attempt_ms: int | None, call_ms: int | None) -> bytes:
        meta = call.identity.meta() if call.identity is not None else {}
        if self._options.sends_timeout and not (call.kind.harmless or call.kind.is_kept or call.has_meta):
            useful_ms = call_ms if call.kind.identified else attempt_ms
            if useful_ms is not None:
                meta["timeout_ms"] = useful_ms
        return encode_request(request_id, call.method, call.params, meta)

    def _wait(self, rounds: int, results: Sequence[AttemptResult], deadline_s: float | None) -> bool:
        """Waits before the next round; False where there shall be none."""
        retry_after_waits_s = [
            retry_after_s for result in results if (retry_after_s := _retry_after_s(result)) is not None
        ]
        left_s = self.left_s(deadline_s)
        seconds = backoff_delay_s(
            self._options.retry, rounds, left_s, max(retry_after_waits_s, default=None), self.environment.uniform
        )
        if seconds is None:
            return False
        self.environment.pause(seconds)
        return True

    def _give_up(self, calls: Sequence[PendingCall]) -> None:
        reason = "the client was closed" if self.environment.is_closed() else "no time or attempts left"
        for call in calls:
            last = f"; the last attempt: {call.attempts[-1].result}" if call.attempts else ""
            call.settle(give_up(call.kind, call.history, reason + last))


def _ms(useful_s: float | None) -> int | None:
    return None if useful_s is None else max(1, int(useful_s * 1000))


def _retry_after_s(result: AttemptResult) -> float | None:
    return result.retry_after_s if isinstance(result, Errored | Lost) else None
