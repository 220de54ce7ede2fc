"""Gives calls their identities, has them made, and keeps the books: the session's ledger and the outbox.

    in the outbox ──► identity ──► attempts (retry, 2) ──► out of the outbox ──► acknowledged ──► handed over
    (exactly-once)    (a write)          │ session_unknown and nothing lost: once more under a new identity
                                         └ unknown: exactly-once stays in the outbox; at-most-once is abandoned

The order is the guarantee. A call is in the outbox, with its identity, before an attempt of it can reach the server;
it is out before the ledger counts it, because a call once acknowledged can only be answered `stale_call`.

Place on the way: between stub (1) and retry (2). Safe for threads. Bounds: a call is reissued a few times, never for
ever; a resume goes through the outbox once, in the order in which the calls were made.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oncekv.client.caller import Caller
from oncekv.client.outbox import Entry, Outbox, OutboxError
from oncekv.client.outcome import ClientClosed, Failed, Outcome, Unknown, Unreachable
from oncekv.client.semantics import Semantics
from oncekv.client.session import Session
from oncekv.client.trip import Trip
from oncekv.client.verdict import Kind, Past, give_up
from oncekv.wire.errors import Expired, KvError, Overloaded, SessionUnknown, TooManySessions, WindowExceeded

__all__ = ["SESSIONS_MAX", "Issuer", "Recovered"]

SESSIONS_MAX = 4
"""How many sessions one call is tried on; a server that forgets each of them at once is not worth a fifth."""

_MAY_PASS = (Unreachable, ClientClosed, WindowExceeded, Overloaded, Expired, TooManySessions)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A call that an earlier process began, and what it came to now."""

    method: str
    params: Mapping[str, Any]
    outcome: Outcome


class Issuer:
    """Issues calls on one session, and resumes what the outbox holds."""

    def __init__(self, caller: Caller, session: Session, outbox: Outbox | None) -> None:
        self._caller = caller
        self._session = session
        self._outbox = outbox
        self._guard = threading.Lock()
        self._under_way: set[int] = set()

    def issue(self, trips: Sequence[Trip], deadline_s: float | None, *, in_batch: bool = False) -> None:
        """Brings every trip to its outcome. Raises OutboxError where the books cannot be kept."""
        try:
            self._put(trips)
            for _ in range(SESSIONS_MAX):
                for trip in trips:
                    self._identify(trip, deadline_s)
                self._caller.run(trips, deadline_s, in_batch=in_batch)
                if not any(trip.needs_reissue for trip in trips):
                    return
                self._leave_session(trips)
            for trip in trips:
                if trip.outcome is None:
                    trip.settle(Failed(SessionUnknown("every session that was opened was gone at once")))
        finally:
            self._settle(trips)

    def resume(self, deadline_s: float | None) -> list[Recovered]:
        """Finishes the calls that the outbox holds and nobody here is making, one after the other."""
        if self._outbox is None:
            return []
        found: list[Recovered] = []
        for entry in self._outbox.entries():
            trip = self._claim(entry)
            if trip is not None:
                self.issue([trip], deadline_s)
                assert trip.outcome is not None
                found.append(Recovered(trip.method, trip.params, trip.outcome))
        return found

    def _put(self, trips: Sequence[Trip]) -> None:
        kept = [trip for trip in trips if trip.kind.is_kept and trip.entry_id is None]
        if not kept:
            return
        assert self._outbox is not None, "exactly-once needs an outbox"
        for trip in kept:
            trip.identity = self._session.begin_now()
        rows = [(trip.method, msgspec.json.encode(trip.params), trip.identity) for trip in kept]
        for trip, entry_id in zip(kept, self._outbox.put(rows), strict=True):
            trip.entry_id = entry_id
            with self._guard:
                self._under_way.add(entry_id)

    def _identify(self, trip: Trip, deadline_s: float | None) -> None:
        if not trip.kind.identified or trip.identity is not None or trip.outcome is not None:
            return
        try:
            identity = self._session.begin(deadline_s)
        except KvError as refusal:
            trip.attempts.extend(getattr(refusal, "attempts", ()))
            is_over = not isinstance(refusal, _MAY_PASS)
            trip.settle(Failed(refusal) if is_over else give_up(trip.kind, Past(refusal=refusal), refusal.message))
            return
        try:
            if self._outbox is not None and trip.entry_id is not None:
                self._outbox.assign(trip.entry_id, identity)
            elif self._outbox is not None:
                self._outbox.reserve(identity)
        except OutboxError:
            self._session.finish(identity)
            raise
        trip.identity = identity

    def _leave_session(self, trips: Sequence[Trip]) -> None:
        """The session of some trips is gone, and they surely never ran: they get new identities."""
        for trip in trips:
            if trip.needs_reissue and trip.identity is not None:
                self._session.forget(trip.identity.epoch)
                self._session.finish(trip.identity)
                trip.identity = None
                trip.needs_reissue = False

    def _settle(self, trips: Sequence[Trip]) -> None:
        """Keeps the books of calls that have ended, also by an exception such as Ctrl-C."""
        done = [trip for trip in trips if not _stays(trip)]
        entry_ids = [trip.entry_id for trip in done if trip.entry_id is not None]
        try:
            if self._outbox is not None and entry_ids:
                self._outbox.settle(entry_ids)
            for trip in done:
                if trip.identity is not None:
                    self._session.finish(trip.identity)
        finally:
            with self._guard:
                self._under_way.difference_update(trip.entry_id for trip in trips if trip.entry_id is not None)

    def _claim(self, entry: Entry) -> Trip | None:
        """The entry as a trip, unless some thread is making the call or has just finished it."""
        assert self._outbox is not None
        with self._guard:
            if entry.id in self._under_way:
                return None
            self._under_way.add(entry.id)
        if not self._outbox.holds(entry.id):
            with self._guard:
                self._under_way.discard(entry.id)
            return None
        is_sent = entry.session is not None and entry.seq is not None
        return Trip(
            entry.method,
            msgspec.json.decode(entry.params),
            Kind(Semantics.EXACTLY_ONCE),
            self._session.recall(entry.session, entry.seq) if is_sent else None,  # type: ignore[arg-type]
            past=Past(lost=is_sent),
            entry_id=entry.id,
        )


def _stays(trip: Trip) -> bool:
    """Whether the call stays in the outbox, and its seq open."""
    if trip.entry_id is None:
        return False
    return trip.outcome is None or (isinstance(trip.outcome, Unknown) and trip.outcome.kept)
