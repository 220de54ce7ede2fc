"""Gives calls their identities, has them made, and keeps the books: the session's ledger and the outbox.

    in the outbox ──► identity ──► attempts (retry, 2) ──► out of the outbox ──► acknowledged ──► handed over
    (exactly-once)    (a write)          │ session_unknown and nothing lost: once more under a new identity
                                         └ unknown: exactly-once stays in the outbox; at-most-once is abandoned

The order is the guarantee. A call is in the outbox, with its identity, before an attempt of it can reach the server;
it is out before the ledger counts it, because a call once acknowledged can only be answered `stale_call`. And an
exactly-once call is sent only when no older one is left in the outbox: a put that an outage has kept would else be
finished after a newer put was acknowledged, and undo it. While an older one stays, the new call is kept behind it.

Place on the way: between stub (1) and retry (2). Safe for threads. Bounds: a call is reissued a few times, never for
ever; a resume goes through the outbox once, in the order in which the calls were made, up to the first that stays.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oncekv.client.caller import Caller
from oncekv.client.outbox import Entry, Outbox, OutboxError
from oncekv.client.outcome import ClientClosed, Failed, Outcome, Unknown, Unreachable
from oncekv.client.portions import portions
from oncekv.client.semantics import Semantics
from oncekv.client.session import Identity, Session
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
        self._resuming = threading.Lock()
        self._kept = set() if outbox is None else {entry.id for entry in outbox.entries()}
        """The calls in the outbox that nobody here is making. Only who holds `_resuming` takes one out."""

    def issue(self, trips: Sequence[Trip], deadline_s: float | None, *, in_batch: bool = False) -> None:
        """Brings every trip to its outcome. Raises OutboxError only where nothing was sent and nothing is kept."""
        left = deque(portions(trips, self._session.window))
        first = left[0]
        try:
            self._put(trips, first)
            while left:
                self._let_older_go_first(left[0], deadline_s)
                try:
                    self._make(left[0], deadline_s, in_batch=in_batch)
                except OutboxError as error:
                    if left[0] is first:
                        raise
                    _give_up(left[0], str(error))
                self._settle(left.popleft())
        finally:
            self._settle([trip for portion in left for trip in portion])

    def resume(self, deadline_s: float | None, before: int | None = None) -> list[Recovered]:
        """Finishes the calls that the outbox keeps (`before` this id), one after the other, up to one that stays."""
        if self._outbox is None:
            return []
        left_s = self._caller.left_s(deadline_s)
        if not self._resuming.acquire(timeout=-1 if left_s is None else min(max(0.0, left_s), threading.TIMEOUT_MAX)):
            return []
        found: list[Recovered] = []
        try:
            for entry in self._kept_entries(self._outbox, before):
                trip = self._again(entry)
                params = msgspec.json.decode(entry.params)
                found.append(Recovered(trip.method, params, self._finish(trip, deadline_s)))
                if _stays(trip):
                    break
        finally:
            self._resuming.release()
        return found

    def _put(self, trips: Sequence[Trip], first: Sequence[Trip]) -> None:
        """Puts the exactly-once calls into the outbox; those of the first portion with their identities, if it can."""
        kept = [trip for trip in trips if trip.kind.is_kept]
        if not kept:
            return
        assert self._outbox is not None, "exactly-once needs an outbox"
        if not self._keeps_older():  # one that may have to wait gets its identity when it is sent
            new = [trip for trip in first if trip.kind.is_kept]
            for trip, identity in zip(new, self._session.begin_now(len(new)), strict=False):
                trip.identity = identity
        rows = [(trip.method, trip.params, trip.identity) for trip in kept]
        for trip, entry_id in zip(kept, self._outbox.put(rows), strict=True):
            trip.entry_id = entry_id

    def _let_older_go_first(self, trips: Sequence[Trip], deadline_s: float | None) -> None:
        new = [trip for trip in trips if trip.entry_id is not None]
        first = min((trip.entry_id for trip in new if trip.entry_id is not None), default=0)
        if not self._keeps_older(first):
            return
        with contextlib.suppress(OutboxError):  # whatever stays, stays
            self._give_back(new)
            self.resume(deadline_s, first)
        if self._keeps_older(first):
            for trip in new:
                trip.settle(Unknown("not sent: older calls come first; the outbox keeps the call", kept=True))

    def _give_back(self, trips: Sequence[Trip]) -> None:
        """Takes back identities that no attempt has used: an older call that needs a place would wait for ever."""
        held = {
            trip.entry_id: trip.identity for trip in trips if trip.entry_id is not None and trip.identity is not None
        }
        if self._outbox is None or not held:
            return
        self._outbox.assign([(entry_id, None) for entry_id in held])
        self._session.finish(held.values())
        for trip in trips:
            trip.identity = None

    def _make(self, trips: Sequence[Trip], deadline_s: float | None, *, in_batch: bool = False) -> None:
        for _ in range(SESSIONS_MAX):
            self._identify(trips, deadline_s)
            self._caller.run(trips, deadline_s, in_batch=in_batch)
            if not any(trip.needs_reissue for trip in trips):
                return
            self._leave_session(trips)
        for trip in trips:
            if trip.outcome is None:
                trip.settle(Failed(SessionUnknown("every session that was opened was gone at once")))

    def _finish(self, trip: Trip, deadline_s: float | None) -> Outcome:
        """Makes a call that was kept."""
        with self._guard:
            self._kept.discard(trip.entry_id or 0)
        try:
            self._make([trip], deadline_s)
        finally:
            self._settle([trip])
        assert trip.outcome is not None
        return trip.outcome

    def _identify(self, trips: Sequence[Trip], deadline_s: float | None) -> None:
        """Gives identities to those that need one, to all of them together."""
        new = [trip for trip in trips if trip.kind.identified and trip.identity is None and trip.outcome is None]
        if not new:
            return
        try:
            for trip, identity in zip(new, self._begin(new, deadline_s), strict=True):
                trip.identity = identity
        except KvError as refusal:
            is_over = not isinstance(refusal, _MAY_PASS)
            for trip in new:
                trip.attempts.extend(getattr(refusal, "attempts", ()))
                trip.settle(Failed(refusal) if is_over else give_up(trip.kind, Past(refusal=refusal), refusal.message))
        except OutboxError as error:
            if not any(trip.attempts or trip.entry_id is not None for trip in trips):
                raise
            _give_up(new, str(error))

    def _begin(self, trips: Sequence[Trip], deadline_s: float | None) -> Sequence[Identity]:
        """Identities that the outbox knows of."""
        entry_ids = [trip.entry_id for trip in trips if trip.entry_id is not None]
        if not entry_ids and self._session.would_wait(len(trips)) and self._keeps_older():
            self.resume(deadline_s)  # kept calls hold the window, and would for ever
        identities = self._session.begin(len(trips), deadline_s)
        try:
            if self._outbox is not None and entry_ids:
                self._outbox.assign(list(zip(entry_ids, identities, strict=True)))
            elif self._outbox is not None:
                self._outbox.reserve(identities)
        except OutboxError:
            self._session.finish(identities)
            raise
        return identities

    def _leave_session(self, trips: Sequence[Trip]) -> None:
        """The session of some trips is gone, and they surely never ran: they get new identities."""
        for trip in trips:
            if trip.needs_reissue and trip.identity is not None:
                self._session.forget(trip.identity.epoch)
                self._session.finish([trip.identity])
                trip.identity = None
                trip.needs_reissue = False

    def _settle(self, trips: Sequence[Trip]) -> None:
        """Keeps the books of calls that have ended, also by an exception such as Ctrl-C."""
        stay = trips
        try:
            self._take_out([trip for trip in trips if trip.entry_id is not None and not _stays(trip)])
            stay = [trip for trip in trips if _stays(trip)]
            over = [trip.identity for trip in trips if trip.identity is not None and not _stays(trip)]
            if over:
                self._session.finish(over)
        finally:
            with self._guard:
                self._kept.update(trip.entry_id for trip in stay if trip.entry_id is not None)

    def _take_out(self, trips: Sequence[Trip]) -> None:
        """A call that the outbox cannot let go is not over: whoever resumes it gets the recorded reply."""
        if self._outbox is None or not trips:
            return
        try:
            self._outbox.settle([trip.entry_id for trip in trips if trip.entry_id is not None])
        except OutboxError as error:
            for trip in trips:
                trip.settle(Unknown(f"the call ended, but {error}; the outbox keeps the call", kept=True))

    def _keeps_older(self, before: int | None = None) -> bool:
        with self._guard:
            return any(before is None or entry_id < before for entry_id in self._kept)

    def _kept_entries(self, outbox: Outbox, before: int | None) -> list[Entry]:
        """Read after the ids: a call that another thread gives up meanwhile may have changed since it was read."""
        with self._guard:
            kept = set(self._kept)
        entries = [entry for entry in outbox.entries() if entry.id in kept]
        with self._guard:
            self._kept -= kept.difference(entry.id for entry in entries)
        return [entry for entry in entries if before is None or entry.id < before]

    def _again(self, entry: Entry) -> Trip:
        is_sent = entry.session is not None and entry.seq is not None
        return Trip(
            entry.method,
            entry.params,
            Kind(Semantics.EXACTLY_ONCE),
            self._session.recall(entry.session, entry.seq) if is_sent else None,  # type: ignore[arg-type]
            past=Past(lost=is_sent),
            entry_id=entry.id,
        )


def _give_up(trips: Sequence[Trip], reason: str) -> None:
    for trip in trips:
        if trip.outcome is None:
            trip.settle(give_up(trip.kind, trip.past, reason))


def _stays(trip: Trip) -> bool:
    """Whether the call stays in the outbox, and its seq open."""
    if trip.entry_id is None:
        return False
    return trip.outcome is None or (isinstance(trip.outcome, Unknown) and trip.outcome.kept)
