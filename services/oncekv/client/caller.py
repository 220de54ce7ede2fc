"""The loop around the attempts: send, weigh the ending, wait, send again, until every call is settled.

A batch is several calls in one POST; a single call is the same loop with one. Each attempt goes out under the call's
own identity, over the next link after one that failed, with what is left of the caller's patience.

    run ──► send ──► transport (3) ──► reply ──► verdict ──► settled
     ▲                                              │
     └───────────── wait (schedule) ◄───────────────┘ again

`timeout_ms` tells the server how long an answer is of use. For a call without identity that is this attempt's own
time: run later, it would be one effect too many. For one with an identity it is the time to the caller's deadline: an
attempt that runs late is no loss, for the next one is answered from its record, whereas refusing it would, on an
overloaded server, make every retry queue up behind from the start. Exactly-once wants its effect however late.

Place on the way: retry (2). Thin: decisions are in `verdict` and `retry`; clock, pause, random source and transport
come from outside, so the same loop runs in a simulated network. Guarantee: no wait and no attempt reaches past the
deadline. Limit: one that closing the client interrupts ends like one whose deadline has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from oncekv.client.binding import Link
from oncekv.client.ending import Ending, Errored, Lost, NotSent, describe
from oncekv.client.options import Options
from oncekv.client.outcome import Attempt
from oncekv.client.reply import read_batch, read_single
from oncekv.client.request import encode_request
from oncekv.client.retry import attempt_timeout_s, wait_s
from oncekv.client.transport import Transport
from oncekv.client.trip import Trip
from oncekv.client.verdict import give_up, judge

__all__ = ["Caller", "World"]


@dataclass(frozen=True, slots=True)
class World:
    """Everything impure that a client touches. `pause(seconds)` may return early; `uniform(a, b)` draws from [a, b]."""

    transport: Transport
    clock: Callable[[], float]
    pause: Callable[[float], object]
    uniform: Callable[[float, float], float]
    is_closed: Callable[[], bool] = lambda: False


class Caller:
    """Makes the attempts. Safe for threads: each runs its own calls."""

    def __init__(self, links: Sequence[Link], options: Options, world: World) -> None:
        assert links, "a client needs a link"
        self.world = world
        self._links = tuple(links)
        self._options = options
        self._headers = {"Authorization": f"Bearer {options.token}"} if options.token is not None else {}
        self._first_link = 0
        self._ids = count(1)

    def run(self, trips: Sequence[Trip], deadline_s: float | None, *, in_batch: bool = False) -> None:
        """Makes attempts until each trip has its outcome or needs another identity."""
        waiting = [trip for trip in trips if trip.is_waiting]
        first_link, rounds = self._first_link, 0
        while waiting:
            timeout_s = attempt_timeout_s(self._options.retry, self.left_s(deadline_s))
            if timeout_s is None or self.world.is_closed():
                break
            at = (first_link + rounds) % len(self._links)
            rounds += 1
            endings = self._send(waiting, self._links[at], timeout_s, deadline_s, in_batch)
            if self._options.stays_on_good_link and not isinstance(endings[0], Lost | NotSent):
                self._first_link = at
            waiting = [trip for trip in waiting if trip.is_waiting]
            if waiting and not self._wait(rounds, endings, deadline_s):
                break
        self._give_up(waiting)

    def left_s(self, deadline_s: float | None) -> float | None:
        """The time to a deadline, None where there is none."""
        return None if deadline_s is None else deadline_s - self.world.clock()

    def _send(
        self, trips: Sequence[Trip], link: Link, timeout_s: float, deadline_s: float | None, in_batch: bool
    ) -> list[Ending]:
        """One POST: an attempt of each of the trips; each is judged."""
        ids = [next(self._ids) for _ in trips]
        useful_ms = _ms(timeout_s), _ms(self.left_s(deadline_s))
        requests = [self._request(*pair, *useful_ms) for pair in zip(ids, trips, strict=True)]
        body = b"[%b]" % b",".join(requests) if in_batch else requests[0]
        headers = self._headers if in_batch else {**self._headers, **trips[0].headers}
        started_s = self.world.clock()
        received = self.world.transport.post(link.url, body, headers, timeout_s)
        took_s = self.world.clock() - started_s
        if isinstance(received, Lost | NotSent):
            endings: list[Ending] = [received] * len(ids)
        else:
            endings = read_batch(received, ids) if in_batch else [read_single(received, ids[0])]
        for trip, ending in zip(trips, endings, strict=True):
            verdict = judge(trip.kind, trip.past, ending)
            trip.note(Attempt(trip.next_number, link.name, started_s, took_s, describe(ending)), ending)
            trip.settle(verdict)
        return endings

    def _request(self, request_id: int, trip: Trip, attempt_ms: int | None, call_ms: int | None) -> bytes:
        meta = trip.identity.meta() if trip.identity is not None else {}
        if self._options.sends_timeout and not (trip.kind.harmless or trip.kind.is_kept or trip.has_meta):
            useful_ms = call_ms if trip.kind.identified else attempt_ms
            if useful_ms is not None:
                meta["timeout_ms"] = useful_ms
        return encode_request(request_id, trip.method, trip.params, meta)

    def _wait(self, rounds: int, endings: Sequence[Ending], deadline_s: float | None) -> bool:
        """Waits before the next round; False where there shall be none."""
        wishes = [wish for ending in endings if (wish := _wish(ending)) is not None]
        left_s = self.left_s(deadline_s)
        seconds = wait_s(self._options.retry, rounds, left_s, max(wishes, default=None), self.world.uniform)
        if seconds is None:
            return False
        self.world.pause(seconds)
        return True

    def _give_up(self, trips: Sequence[Trip]) -> None:
        reason = "the client was closed" if self.world.is_closed() else "no time or attempts left"
        for trip in trips:
            last = f"; the last attempt: {trip.attempts[-1].ending}" if trip.attempts else ""
            trip.settle(give_up(trip.kind, trip.past, reason + last))


def _ms(useful_s: float | None) -> int | None:
    return None if useful_s is None else max(1, int(useful_s * 1000))


def _wish(ending: Ending) -> float | None:
    return ending.retry_after_s if isinstance(ending, Errored | Lost) else None
