"""Gives calls their identities, has them made, and keeps the books: the session's ledger and the outbox.

    identity ──► in the outbox ──► attempts (retry, 2) ──► out of the outbox ──► acknowledged ──► handed over
    (a write)    (exactly-once)          │ session_unknown and nothing lost: once more under a new identity
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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oncerpc.client.outcome import ClientClosed, Failed, Outcome, Unknown, Unreachable
from oncerpc.client.retry.chunks import chunks
from oncerpc.client.retry.decision import AttemptHistory, CallKind, give_up
from oncerpc.client.retry.pending_call import PendingCall
from oncerpc.client.retry.retry_loop import RetryLoop
from oncerpc.client.semantics import Semantics
from oncerpc.client.session.outbox import Entry, Outbox, OutboxError, OutboxInDoubt
from oncerpc.client.session.session import Session
from oncerpc.wire.errors import Expired, Overloaded, RpcError, SessionUnknown, TooManySessions

__all__ = ["SESSIONS_MAX", "Issuer", "Recovered"]

SESSIONS_MAX = 4
"""How many sessions one call is tried on; a server that forgets each of them at once is not worth a fifth."""

_TRANSIENT = (Unreachable, ClientClosed, Overloaded, Expired, TooManySessions)
"""Why a session may be refused to a kept call now and not for ever: it stays. Others are told the refusal as it is."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A call that an earlier process began, and what it came to now."""

    method: str
    params: Mapping[str, Any]
    outcome: Outcome


class Issuer:
    """Issues calls on one session, and resumes what the outbox holds."""

    def __init__(self, retry_loop: RetryLoop, session: Session, outbox: Outbox | None) -> None:
        self._retry_loop = retry_loop
        self._session = session
        self._outbox = outbox
        self._guard = threading.Lock()
        self._resuming = threading.Lock()
        self._kept = set() if outbox is None else {entry.id for entry in outbox.entries()}
        """The calls in the outbox that nobody here is making. Only who holds `_resuming` takes one out."""

    def issue(self, calls: Sequence[PendingCall], deadline_s: float | None, *, in_batch: bool = False) -> None:
        """Brings every call to its outcome. Raises OutboxError only where nothing was sent and nothing is kept."""
        left = deque(chunks(calls, self._session.window))
        try:
            self._put(left)
            while left:
                self._let_older_go_first(left[0], deadline_s)
                self._make(left[0], deadline_s, in_batch=in_batch)
                self._settle(left.popleft())
        except OutboxInDoubt as doubt:  # of the first step
            for call in calls:
                call.settle(Unknown(f"not sent, but {doubt}; whoever opens the outbox next may make the call"))
        finally:
            self._settle([call for chunk in left for call in chunk])

    def resume(self, deadline_s: float | None, before: int | None = None) -> list[Recovered]:
        """Finishes the calls that the outbox keeps (`before` this id), one after the other, up to one that stays."""
        if self._outbox is None:
            return []
        left_s = self._retry_loop.left_s(deadline_s)
        if not self._resuming.acquire(timeout=-1 if left_s is None else min(max(0.0, left_s), threading.TIMEOUT_MAX)):
            return []
        found: list[Recovered] = []
        try:
            for entry in self._kept_entries(self._outbox, before):
                call = self._again(entry)
                params = msgspec.json.decode(entry.params)
                found.append(Recovered(call.method, params, self._finish(call, deadline_s)))
                if _stays(call):
                    break
        finally:
            self._resuming.release()
        return found

    def _put(self, left: Iterable[Sequence[PendingCall]]) -> None:
        """Puts the exactly-once calls into the outbox, each with its identity: two copies of the file make one call."""
        kept: list[PendingCall] = []
        for chunk in left:
            new = [call for call in chunk if call.kind.is_kept]
            kept += new
            self._plan(new)
        if not kept:
            return
        assert self._outbox is not None, "exactly-once needs an outbox"
        rows = [(call.method, call.params, call.identity) for call in kept if call.identity is not None]
        for call, entry_id in zip(kept, self._outbox.put(rows), strict=True):
            call.entry_id = entry_id

    def _plan(self, calls: Sequence[PendingCall]) -> None:
        for call, identity in zip(calls, self._session.plan(len(calls)) if calls else (), strict=True):
            call.identity = identity
            call.is_noted = identity.epoch.name is not None

    def _let_older_go_first(self, calls: Sequence[PendingCall], deadline_s: float | None) -> None:
        new = [call for call in calls if call.entry_id is not None]
        first = min((call.entry_id for call in new if call.entry_id is not None), default=0)
        if not self._keeps_older(first):
            return
        with contextlib.suppress(OutboxError):  # whatever stays, stays
            self.resume(deadline_s, first)
        if self._keeps_older(first):
            self._keep_unsent(new)

    def _keep_unsent(self, calls: Sequence[PendingCall]) -> None:
        """Keeps calls behind older ones. Where the outbox cannot note that nothing was sent, it counts as sent."""
        if self._outbox is not None:
            with contextlib.suppress(OutboxError):
                self._outbox.unsend([call.entry_id for call in calls if call.entry_id is not None])
        for call in calls:
            call.settle(Unknown("not sent: older calls come first; the outbox keeps the call", kept=True))

    def _make(self, calls: Sequence[PendingCall], deadline_s: float | None, *, in_batch: bool = False) -> None:
        for _ in range(SESSIONS_MAX):
            self._identify(calls, deadline_s)
            self._retry_loop.run(calls, deadline_s, in_batch=in_batch)
            if not any(call.needs_reissue for call in calls):
                return
            self._leave_session(calls)
        for call in calls:
            if call.outcome is None:
                call.settle(Failed(SessionUnknown("every session that was opened was gone at once")))

    def _finish(self, call: PendingCall, deadline_s: float | None) -> Outcome:
        """Makes a call that was kept."""
        with self._guard:
            self._kept.discard(call.entry_id or 0)
        try:
            self._make([call], deadline_s)
        finally:
            self._settle([call])
        assert call.outcome is not None
        return call.outcome

    def _identify(self, calls: Sequence[PendingCall], deadline_s: float | None) -> None:
        """Gives identities on open sessions to those that need one, to all of them together."""
        new = [call for call in calls if call.kind.identified and not call.is_noted and call.outcome is None]
        if not new:
            return
        try:
            self._begin(new, deadline_s)
        except RpcError as refusal:
            is_over = not isinstance(refusal, _TRANSIENT)
            for call in new:
                call.attempts.extend(getattr(refusal, "attempts", ()))
                history = AttemptHistory(refusal=refusal)
                call.settle(Failed(refusal) if is_over else give_up(call.kind, history, refusal.message))
        except OutboxError as error:
            for call in new:
                call.settle(give_up(call.kind, call.history, str(error)))

    def _begin(self, calls: Sequence[PendingCall], deadline_s: float | None) -> None:
        if any(call.entry_id is not None for call in calls):
            return self._begin_kept(calls, deadline_s)
        if self._session.would_wait(len(calls)) and self._keeps_older():
            with contextlib.suppress(OutboxError):
                self.resume(deadline_s)  # kept calls hold the window, and would for ever
        for call, identity in zip(calls, self._session.begin(len(calls), deadline_s), strict=True):
            call.identity, call.is_noted = identity, True
        return None

    def _begin_kept(self, calls: Sequence[PendingCall], deadline_s: float | None) -> None:
        """Opens the sessions of calls that are in the outbox, which knows of it before an attempt leaves."""
        assert self._outbox is not None
        new = [call for call in calls if call.identity is None]
        self._plan(new)
        try:
            for call in calls:
                if call.identity is not None:
                    self._session.open(call.identity.epoch, deadline_s)
            self._outbox.assign([(call.entry_id or 0, call.identity) for call in calls if call.identity is not None])
        except BaseException:  # the outbox has their former identities
            self._session.finish([call.identity for call in new if call.identity is not None])
            for call in new:
                call.identity, call.is_noted = None, False
            raise
        for call in calls:
            call.is_noted = True
            if call.identity is not None and call.identity.epoch.is_recalled and call.identity.epoch.was_open:
                # Whoever opened it may have made the call, from a copy of the outbox.
                call.history = AttemptHistory(lost=True)

    def _leave_session(self, calls: Sequence[PendingCall]) -> None:
        """The session of some calls is gone, and they surely never ran: they get new identities."""
        for call in calls:
            if call.needs_reissue and call.identity is not None:
                self._session.forget(call.identity.epoch)
                if call.entry_id is None:  # the outbox still has this identity of the others, and may have to keep it
                    self._session.finish([call.identity])
                call.identity, call.is_noted = None, False
                call.needs_reissue = False

    def _settle(self, calls: Sequence[PendingCall]) -> None:
        """Keeps the books of calls that have ended, also by an exception such as Ctrl-C."""
        stay = calls
        try:
            self._take_out([call for call in calls if call.entry_id is not None and not _stays(call)])
            stay = [call for call in calls if _stays(call)]
            over = [call.identity for call in calls if call.identity is not None and not _stays(call)]
            if over:
                self._session.finish(over)
        finally:
            with self._guard:
                self._kept.update(call.entry_id for call in stay if call.entry_id is not None)

    def _take_out(self, calls: Sequence[PendingCall]) -> None:
        """A call that the outbox cannot let go is not over: whoever resumes it gets the recorded reply."""
        if self._outbox is None or not calls:
            return
        try:
            self._outbox.settle([call.entry_id for call in calls if call.entry_id is not None])
        except OutboxError as error:
            for call in calls:
                call.settle(Unknown(f"the call ended, but {error}; the outbox keeps the call", kept=True))

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

    def _again(self, entry: Entry) -> PendingCall:
        is_sent = entry.session is not None
        return PendingCall(
            entry.method,
            entry.params,
            CallKind(Semantics.EXACTLY_ONCE),
            self._session.recall(entry.key, entry.seq),
            history=AttemptHistory(lost=is_sent),
            entry_id=entry.id,
            is_noted=is_sent,
        )


def _stays(call: PendingCall) -> bool:
    """Whether the call stays in the outbox, and its seq open."""
    if call.entry_id is None:
        return False
    return call.outcome is None or (isinstance(call.outcome, Unknown) and call.outcome.kept)
