"""The client's session with the server: opened when first needed, shared by all threads, replaced when it is gone.

A call begins by taking a seq from the session's ledger and is finished when its reply was handed over or no attempt of
it will ever be made again; between the two it is open, and `acked` stays below it. While the window is full, a new
call waits for an old one, up to its own deadline, and callers get their places in the order in which they came. Calls
that leave together get theirs together: two batches that each held a part of the window while they waited for the rest
would wait for each other for ever. `session.open` carries an Idempotency-Key that is kept until an answer came, so that
a lost reply leaves no second session behind.

Place on the way: between stub (1) and retry (2): it gives a call its identity. Safe for threads. Guarantee: no two
calls ever get the same identity, with a `Journal` also across restarts. Limit: the server's lease; a session that is
gone takes its records with it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from oncekv.client.outcome import ClientClosed, Unreachable
from oncekv.client.session.ledger import Ledger
from oncekv.wire.errors import IdentityReused, WindowExceeded
from oncekv.wire.identity import WINDOW

__all__ = ["Epoch", "Identity", "Journal", "NoJournal", "OpenedSession", "Saved", "Session"]


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What `session.open` answered. `name` is a secret: whoever holds it is the client."""

    name: str
    window: int


@dataclass(frozen=True, slots=True)
class Saved:
    """What a journal knows of an earlier process: the session, if one was open, and its calls without a reply."""

    opened: OpenedSession | None = None
    next_seq: int = 1
    unanswered: Iterable[int] = ()
    open_key: str | None = None


class Journal(Protocol):
    """Remembers the session over the client's own death; each method returns once that is durable."""

    def load(self) -> Saved: ...

    def opening(self, key: str) -> None: ...

    def opened(self, session: OpenedSession) -> None: ...


class NoJournal:
    """A client that starts afresh each time."""

    def load(self) -> Saved:
        """Nothing."""
        return Saved()

    def opening(self, key: str) -> None:
        """Not remembered."""

    def opened(self, session: OpenedSession) -> None:
        """Not remembered."""


@dataclass(eq=False, slots=True)
class Epoch:
    """One server session, with its books."""

    name: str
    ledger: Ledger

    def __repr__(self) -> str:
        return f"Epoch({self.name[:4]}…, next_seq={self.ledger.next_seq}, acked={self.ledger.acked})"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which call it is: the same on each of its attempts; only `acked` moves on between them."""

    epoch: Epoch
    seq: int

    def meta(self) -> dict[str, Any]:
        """`params._meta` of one attempt."""
        return {"session": self.epoch.name, "seq": self.seq, "acked": min(self.epoch.ledger.acked, self.seq - 1)}


class Session:
    """Gives identities. `open_session(key, deadline_s)` makes the call; it raises the definite error if it fails."""

    def __init__(
        self,
        open_session: Callable[[str, float | None], OpenedSession],
        new_key: Callable[[], str],
        left_s: Callable[[float | None], float | None],
        journal: Journal,
    ) -> None:
        self._open_session = open_session
        self._new_key = new_key
        self._left_s = left_s
        self._journal = journal
        self._opening = threading.Lock()
        self._changed = threading.Condition()
        self._turns: deque[object] = deque()
        self._closed = False
        saved = journal.load()
        self._open_key = saved.open_key
        self._epoch: Epoch | None = None
        if saved.opened is not None:
            ledger = Ledger(saved.next_seq, saved.unanswered, saved.opened.window)
            self._epoch = Epoch(saved.opened.name, ledger)

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

    def finish(self, identities: Iterable[Identity]) -> None:
        """No attempt of these calls will ever be made again. The books of a session that is gone are closed."""
        with self._changed:
            for identity in identities:
                if identity.epoch is self._epoch:
                    identity.epoch.ledger.finish(identity.seq)
            self._changed.notify_all()

    def recall(self, session: str, seq: int) -> Identity:
        """The identity of a call that began in an earlier process or is still open in this one."""
        with self._changed:
            if self._epoch is not None and self._epoch.name == session:
                return Identity(self._epoch, seq)
        # Of an older session this process holds no books: its attempts acknowledge nothing.
        return Identity(Epoch(session, Ledger()), seq)

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
        """The open session; the first thread that needs one opens it, the others wait for it."""
        if (epoch := self.epoch) is not None:
            return epoch
        left_s = self._left_s(deadline_s)
        if not self._opening.acquire(timeout=-1 if left_s is None else max(0.0, left_s)):
            raise Unreachable("no session could be opened before the deadline")
        try:
            if (epoch := self.epoch) is not None:
                return epoch
            return self._open(deadline_s)
        finally:
            self._opening.release()

    def _open(self, deadline_s: float | None) -> Epoch:
        try:
            opened = self._open_session(self._key(), deadline_s)
        except IdentityReused:
            self._open_key = None  # a key of an earlier process, which asked for another lease
            opened = self._open_session(self._key(), deadline_s)
        self._journal.opened(opened)
        epoch = Epoch(opened.name, Ledger(window=opened.window))
        with self._changed:
            self._open_key = None
            self._epoch = epoch
            self._changed.notify_all()
        return epoch

    def _key(self) -> str:
        """The Idempotency-Key of the present opening: the same until an answer came."""
        if self._open_key is None:
            key = self._new_key()
            self._journal.opening(key)
            self._open_key = key
        return self._open_key
