"""The client's sessions with the server: opened when first needed, shared by all threads, replaced when they are gone.

A call begins by taking a seq from a session's ledger and is finished when its reply was handed over or no attempt of
it will ever be made again; between the two it is open, and `acked` stays below it. While the window is full, a new
call waits for an old one, up to its own deadline, and callers get their places in the order in which they came. Calls
that leave together get theirs together: two batches that each held a part of the window while they waited for the rest
would wait for each other for ever. `session.open` carries an Idempotency-Key that is kept until an answer came, so that
a lost reply leaves no second session behind.

That key is also what makes an identity before there is a session: a call that an outbox keeps is written down with
`(key, seq)`, and whoever has a copy of that file gets the same session for the same key, and so makes the same call.
New calls go under a key of this process's own: were a session taken over from the file, two copies of it, or an older
one put back, would give one seq to two calls.

Place on the way: between stub (1) and retry (2): it gives a call its identity. Safe for threads. Guarantee: no two
calls ever get the same identity, whatever becomes of the outbox's file. Limits: the server's lease, for a session that
is gone takes its records with it; and a key is remembered for 24 hours, so a call that was never sent from a file, but
was from its copy, may run again after that.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from oncerpc.client.outcome import ClientClosed, Unreachable
from oncerpc.client.session.ledger import Ledger
from oncerpc.wire.errors import IdentityReused, WindowExceeded
from oncerpc.wire.identity import WINDOW

__all__ = ["Epoch", "Identity", "OpenedSession", "Session"]


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What `session.open` answered. `name` is a secret: whoever holds it is the client. `replayed`: it was open."""

    name: str
    window: int
    replayed: bool = False


@dataclass(eq=False, slots=True)
class Epoch:
    """One server session, with its books. `key` opens it; without a `name` it is not open yet.

    `is_recalled`: an earlier process began it; it takes no new calls, and acknowledges what that process knew, no more:
    a copy of its outbox may still ask for these replies. `was_open`: when it was opened here, somebody had done so.
    """

    key: str
    ledger: Ledger
    name: str | None = None
    is_recalled: bool = False
    was_open: bool = False

    def __repr__(self) -> str:
        return f"Epoch({(self.name or '')[:4]}…, next_seq={self.ledger.next_seq}, acked={self.ledger.acked})"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which call it is: the same on each of its attempts; only `acked` moves on between them."""

    epoch: Epoch
    seq: int

    def meta(self) -> dict[str, Any]:
        """`params._meta` of one attempt. Its session is open."""
        assert self.epoch.name is not None
        return {"session": self.epoch.name, "seq": self.seq, "acked": min(self.epoch.ledger.acked, self.seq - 1)}


class Session:
    """Gives identities. `open_session(key, deadline_s)` makes the call; it raises the definite error if it fails.

    `kept`: key, name (None if it may not be open yet) and seq of the calls that earlier processes left.
    """

    def __init__(
        self,
        open_session: Callable[[str, float | None], OpenedSession],
        new_key: Callable[[], str],
        left_s: Callable[[float | None], float | None],
        kept: Iterable[tuple[str, str | None, int]] = (),
    ) -> None:
        self._open_session = open_session
        self._new_key = new_key
        self._left_s = left_s
        self._opening = threading.Lock()
        self._changed = threading.Condition()
        self._turns: deque[object] = deque()
        self._closed = False
        self._epoch: Epoch | None = None
        self._planned: Epoch | None = None
        """Has a key and perhaps calls, but no name: what is opened next."""
        self._epochs = _recalled(kept)
        """Those with open calls that an outbox may keep, by their keys."""

    def begin_now(self, count: int) -> list[Identity]:
        """So many identities, if there is a session, room for all in its window, and nobody before; else none."""
        with self._changed:
            return self._take(self._epoch, count) if self._epoch is not None and not self._turns else []

    def begin(self, count: int, deadline_s: float | None) -> list[Identity]:
        """Identities for calls that leave together; opens a session and waits for its turn and for room if need be.

        Raises a definite KvError if it gets none. `count` is at most the session's `window`.
        """
        if identities := self.begin_now(count):
            return identities
        turn = object()
        while True:
            epoch = self._ensure(deadline_s)
            with self._changed:
                self._turns.append(turn)
                try:
                    while epoch is self._epoch:
                        if identities := self._take_in_turn(epoch, count, turn):
                            return identities
                        if not self._changed.wait(self._left_s(deadline_s)):
                            raise WindowExceeded("no room in the window came free before the deadline")
                finally:
                    self._turns.remove(turn)
                    self._changed.notify_all()

    def plan(self, count: int) -> list[Identity]:
        """Identities for kept calls, at once: where no session has room for them, of one that is yet to be opened."""
        with self._changed:
            for epoch in (None if self._turns else self._epoch, self._planned):
                if epoch is not None and (identities := self._take(epoch, count)):
                    return identities
            if self._closed:
                raise ClientClosed()
            return self._take(self._plan(), count)

    def open(self, epoch: Epoch, deadline_s: float | None) -> None:
        """Gives the epoch its name: the first thread that needs it asks the server, the others wait."""
        if epoch.name is not None:
            return
        left_s = self._left_s(deadline_s)
        if not self._opening.acquire(timeout=-1 if left_s is None else max(0.0, left_s)):
            raise Unreachable("no session could be opened before the deadline")
        try:
            if epoch.name is None:
                self._open(epoch, deadline_s)
        finally:
            self._opening.release()

    def finish(self, identities: Iterable[Identity]) -> None:
        """No attempt of these calls will ever be made again."""
        with self._changed:
            for epoch, seq in ((identity.epoch, identity.seq) for identity in identities):
                if epoch.is_recalled:
                    continue
                epoch.ledger.finish(seq)
                if not epoch.ledger.open_count and epoch not in (self._epoch, self._planned):
                    self._epochs.pop(epoch.key, None)
            self._changed.notify_all()

    def recall(self, key: str, seq: int) -> Identity:
        """The identity of a kept call, of an earlier process or of this one."""
        with self._changed:
            return Identity(self._epochs[key], seq)

    def forget(self, epoch: Epoch) -> None:
        """The server does not know this session any more; the next call opens another."""
        with self._changed:
            if self._epoch is epoch:
                self._epoch = None
                self._changed.notify_all()

    def close(self) -> str | None:
        """No call begins from now on; the name of the session that is to be closed, if one is open."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._epoch.name if self._epoch is not None else None

    @property
    def epoch(self) -> Epoch | None:
        """The session now open, as far as this client knows."""
        with self._changed:
            return self._epoch

    @property
    def has_open_calls(self) -> bool:
        """Whether a call of the session now open is not finished."""
        with self._changed:
            return self._epoch is not None and self._epoch.ledger.open_count > 0

    @property
    def window(self) -> int:
        """How many calls may be open at once; what the protocol says while no session is open."""
        epoch = self.epoch
        return WINDOW if epoch is None else epoch.ledger.window

    def would_wait(self, count: int) -> bool:
        """Whether a session is open, and so many calls would have to wait for places in its window."""
        with self._changed:
            return self._epoch is not None and (bool(self._turns) or not self._epoch.ledger.has_room(count))

    def _take(self, epoch: Epoch, count: int) -> list[Identity]:
        return [] if self._closed else [Identity(epoch, seq) for seq in epoch.ledger.begin(count)]

    def _take_in_turn(self, epoch: Epoch, count: int, turn: object) -> list[Identity]:
        if self._closed:
            raise ClientClosed()
        if count > epoch.ledger.window:
            raise WindowExceeded(f"{count} calls at once are more than the session's window of {epoch.ledger.window}")
        return self._take(epoch, count) if self._turns[0] is turn else []

    def _ensure(self, deadline_s: float | None) -> Epoch:
        """The open session, opened if need be."""
        with self._changed:
            epoch = self._epoch or self._planned or self._plan()
        self.open(epoch, deadline_s)
        return epoch

    def _plan(self) -> Epoch:
        self._planned = epoch = Epoch(self._new_key(), Ledger())
        self._epochs[epoch.key] = epoch
        return epoch

    def _open(self, epoch: Epoch, deadline_s: float | None) -> None:
        try:
            opened = self._open_session(epoch.key, deadline_s)
        except IdentityReused:  # a key of an earlier process, which asked for another lease
            key = self._new_key()
            opened = self._open_session(key, deadline_s)
            with self._changed:
                epoch.key = key
                self._epochs[key] = epoch
        with self._changed:
            epoch.name, epoch.was_open = opened.name, opened.replayed
            if not epoch.is_recalled:
                epoch.ledger.window = opened.window
                self._epoch = self._epoch or epoch
            if self._planned is epoch:
                self._planned = None
            self._changed.notify_all()


def _recalled(kept: Iterable[tuple[str, str | None, int]]) -> dict[str, Epoch]:
    epochs: dict[str, Epoch] = {}
    for key, name, seq in sorted(kept, key=lambda one: one[2]):  # the lowest seq says what was acknowledged
        epoch = epochs.setdefault(key, Epoch(key, Ledger(seq), is_recalled=True))
        epoch.name = epoch.name or name
    return epochs
