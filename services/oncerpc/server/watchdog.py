"""The watchdog: when a call is stuck for longer than its bound, the log gets the stacks of all threads.

A deadlock, a lock held too long, an event loop that somebody blocks: from outside they all look like silence. The dump
says who waits for what, once for each incident; the call itself is left alone, for nobody knows what it has done.

Time is counted in ticks of a thread that sleeps in between, so a server that was paused (SIGSTOP) has not stood.
Limits: the bound is met to a tick, a thirtieth of it, and the dump shows a hundred threads at most.
"""

from __future__ import annotations

import faulthandler
import sys
import threading

from oncerpc.server.log import log

__all__ = ["RequestsInFlight", "Watchdog"]

TICKS = 30


class RequestsInFlight:
    """The requests that are not yet answered, and since which tick. Safe for threads: each step is one of a dict's."""

    def __init__(self) -> None:
        self._since: dict[object, int] = {}
        self.tick = 0

    def __len__(self) -> int:
        return len(self._since)

    def enter(self, request: object) -> None:
        self._since[request] = self.tick

    def leave(self, request: object) -> None:
        del self._since[request]

    def ticks_max(self) -> int:
        """For how many ticks the one that has stood longest has."""
        return self.tick - min(self._since.copy().values(), default=self.tick)


class Watchdog:
    """Looks at what runs, once a tick."""

    def __init__(self, running: RequestsInFlight, bound_ms: int) -> None:
        self._running = running
        self._bound_ms = bound_ms
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        reported = False
        while not self._ended.wait(self._bound_ms / 1000 / TICKS):
            self._running.tick += 1
            is_stuck = self._running.ticks_max() > TICKS
            if is_stuck and not reported:
                log.error("a call has been stuck for over %d ms; the stacks of all threads:", self._bound_ms)
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
            reported = is_stuck
