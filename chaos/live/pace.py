"""Pace: the clock that clients and messages live by. It runs, runs slowly, stands still, or is moved step by step.

Whoever waits says for how long and for what: a message on its way, a client until it gives up on an attempt, until it
sends again, until its next call. In step mode time stands still, and a step lets the one go on whose time comes first;
while a scene guides, a step is a sentence of it: each stays until it was read, and time runs from one to the next.

Guarantee: nobody's time passes but by this clock, so that no client loses patience with a message that is being looked
at. Limit: servers and links are real and live by their own clocks; what they take is not slowed down.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

__all__ = ["MODES", "PAUSE", "RUN", "SLOW", "STEP", "Pace", "Waiter"]

RUN, SLOW, STEP, PAUSE = "run", "slow", "step", "pause"
MODES = {RUN: 1.0, SLOW: 0.25, STEP: 0.0, PAUSE: 0.0}
"""Seconds of this clock in a real one."""
TRAVEL_MS_MAX = 10_000


class Waiter:
    """Somebody who waits. `message`: the id of the one on its way, if it is one."""

    def __init__(self, due_s: float, what: str, message: str | None, owner: str, then: Callable[[], None] | None):
        self.due_s, self.what, self.message, self.owner = due_s, what, message, owner
        self.reads_s: float | None = None
        """Of a reader: for how long time stands still for everybody else."""
        self.is_over = False
        self.is_cancelled = False
        self._then = then
        self._over = threading.Event()

    def wait(self) -> bool:
        """Until the time has come; false when it was cancelled before."""
        self._over.wait()
        return not self.is_cancelled

    def end(self, *, cancelled: bool) -> None:
        """By the pace alone."""
        self.is_over, self.is_cancelled = True, cancelled
        if self._then is not None and not cancelled:
            self._then()
        self._over.set()


class Pace:
    """Safe for threads. `told` is called when the mode or what moves next has changed."""

    def __init__(self, travel_ms: int, told: Callable[[], None] = lambda: None) -> None:
        self.mode = RUN
        self.told = told
        self._travel_ms = travel_ms
        self._at_s, self._since_s = 0.0, time.monotonic()
        self._waiters: list[tuple[float, int, Waiter]] = []
        self._ties = itertools.count()
        self._changed = threading.Condition()
        self._is_closed = False
        self._readers = 0
        self._is_guided = False
        self._last_head: Waiter | None = None
        self._thread = threading.Thread(target=self._run, name="pace", daemon=True)
        self._thread.start()

    @property
    def rate(self) -> float:
        """Seconds of this clock in a real one, now."""
        if self._readers:
            return 0.0
        return MODES[RUN] if self.is_guided else MODES[self.mode]

    @property
    def is_closed(self) -> bool:
        """Whether it has ended, and nobody's patience with it."""
        return self._is_closed

    @property
    def is_held(self) -> bool:
        """Whether time stands still because somebody reads."""
        return self._readers > 0

    @property
    def is_guided(self) -> bool:
        """Whether steps are the sentences of a scene."""
        return self._is_guided and self.mode == STEP

    @property
    def travel_s(self) -> float:
        """One way, by this clock."""
        return self._travel_ms / 1000

    @property
    def travel_ms(self) -> int:
        """One way, as people see it."""
        return int(self._travel_ms / (MODES[self.mode] or 1.0))

    def now_s(self) -> float:
        """By this clock."""
        with self._changed:
            return self._now_s()

    def set(self, mode: str, travel_ms: int | None = None) -> None:
        """Go on in that mode."""
        with self._changed:
            self._stop_clock()
            self.mode = mode
            if travel_ms is not None:
                self._travel_ms = max(0, min(travel_ms, TRAVEL_MS_MAX))
            self._changed.notify_all()
        self.told()

    def begin(
        self, for_s: float, what: str, *, message: str | None = None, owner: str = "",
        then: Callable[[], None] | None = None,
    ) -> Waiter:  # fmt: skip
        """Somebody who waits from now on; `then` is called when the time has come, in a thread that must not wait."""
        with self._changed:
            waiter = Waiter(self._now_s() + for_s, what, message, owner, then)
            if self._is_closed:
                waiter.end(cancelled=True)
            else:
                heapq.heappush(self._waiters, (waiter.due_s, next(self._ties), waiter))
                self._changed.notify_all()
        self._tell_head()
        return waiter

    def wait(self, for_s: float, what: str, owner: str = "") -> bool:
        """Wait; false when it was cancelled."""
        return self.begin(for_s, what, owner=owner).wait()

    def read(self, for_s: float, what: str, owner: str = "") -> bool:
        """Time stands still while somebody reads, for that long, or until the next step; false when cancelled."""
        with self._changed:
            self._stop_clock()
            self._readers += 1
        waiter = self.begin(0.0, what, owner=owner)
        with self._changed:
            waiter.due_s, waiter.reads_s = min([waiter.due_s, *(other.due_s for _, _, other in self._waiters)]), for_s
            self._waiters = [(w.due_s if w is not waiter else -1.0, tie, w) for _, tie, w in self._waiters]
            heapq.heapify(self._waiters)
            self._changed.notify_all()
        self.told()
        try:
            return waiter.wait()
        finally:
            with self._changed:
                self._stop_clock()
                self._readers -= 1
                self._changed.notify_all()
            self.told()

    def read_on(self) -> bool:
        """Whoever reads has read it; false when nobody does."""
        with self._changed:
            readers = [waiter for _, _, waiter in self._waiters if waiter.reads_s is not None and not waiter.is_over]
            for reader in readers:
                reader.end(cancelled=False)
            self._changed.notify_all()
        return bool(readers)

    def guide(self, *, on: bool) -> None:
        """A scene begins to guide, or has ended."""
        with self._changed:
            self._stop_clock()
            self._is_guided = on
            self._changed.notify_all()
        self.told()

    def cancel(self, waiter: Waiter) -> bool:
        """It waits no more; false when its time had come."""
        with self._changed:
            if waiter.is_over:
                return False
            waiter.end(cancelled=True)
            if len(self._waiters) > 64 and sum(w.is_over for _, _, w in self._waiters) > len(self._waiters) // 2:
                self._waiters = [entry for entry in self._waiters if not entry[2].is_over]
                heapq.heapify(self._waiters)
        self._tell_head()
        return True

    def cancel_of(self, owner: str) -> None:
        """All of that owner."""
        with self._changed:
            for _, _, waiter in self._waiters:
                if waiter.owner == owner and not waiter.is_over:
                    waiter.end(cancelled=True)
            self._changed.notify_all()
        self._tell_head()

    def head(self) -> Waiter | None:
        """Whose time comes first."""
        with self._changed:
            return self._head()

    def step(self) -> Waiter | None:
        """In step mode: let the next one go on, and time be its time; it, or nobody."""
        with self._changed:
            head = self._head()
            if head is None or self.mode != STEP:
                return None
            heapq.heappop(self._waiters)
            if head.reads_s is None:
                self._at_s, self._since_s = max(self._now_s(), head.due_s), time.monotonic()
            head.end(cancelled=False)
        self._tell_head()
        return head

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._is_closed = True
            for _, _, waiter in self._waiters:
                if not waiter.is_over:
                    waiter.end(cancelled=True)
            self._waiters.clear()
            self._changed.notify_all()
        self._thread.join(5.0)

    def _now_s(self) -> float:
        return self._at_s + (time.monotonic() - self._since_s) * self.rate

    def _stop_clock(self) -> None:
        """Take the time, before it goes at another rate."""
        self._at_s, self._since_s = self._now_s(), time.monotonic()

    def _head(self) -> Waiter | None:
        while self._waiters and self._waiters[0][2].is_over:
            heapq.heappop(self._waiters)
        return self._waiters[0][2] if self._waiters else None

    def _tell_head(self) -> None:
        """In step mode people see what moves next."""
        if self.mode == STEP and not self.is_guided and (head := self.head()) is not self._last_head:
            self._last_head = head
            self.told()

    def _run(self) -> None:
        with self._changed:
            while not self._is_closed:
                head, now_s = self._head(), self._now_s()
                if head is None:
                    self._changed.wait()
                elif head.reads_s is not None:
                    self._let_read(head, head.reads_s)
                elif not self.rate:
                    self._changed.wait()
                elif head.due_s <= now_s:
                    heapq.heappop(self._waiters)
                    head.end(cancelled=False)
                else:
                    self._changed.wait((head.due_s - now_s) / self.rate)

    def _let_read(self, reader: Waiter, left_s: float) -> None:
        """In real time, slower in slow motion; in step mode until the next step."""
        rate, began_s = MODES[self.mode], time.monotonic()
        if rate and left_s <= 0:
            heapq.heappop(self._waiters)
            reader.end(cancelled=False)
            return
        self._changed.wait(left_s / rate if rate else None)
        reader.reads_s = left_s - (time.monotonic() - began_s) * rate
