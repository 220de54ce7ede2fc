"""A server of the live world: a real one, with the state that people see and counts of what came to it.

Counts are taken beside the server, at the last hop before it, so that they outlive it; effects are counted in the
store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from chaos.live.journal import Journal
from chaos.net.replies import ReplySummary
from chaos.runtime.base import Server

__all__ = ["DOINGS", "LiveServer"]

DOINGS = ("kill", "pause", "resume", "restart", "lose-disk")
UP, DOWN, PAUSED, STARTING = "up", "down", "paused", "starting"


class LiveServer:
    """Safe for threads: one thing is done to it at a time."""

    def __init__(self, server_id: str, server: Server, journal: Journal, changed: Callable[[], None]) -> None:
        """changed: called when a count has changed; `tell` is due soon."""
        self.id, self.server = server_id, server
        self.state = UP
        self.deaths = 0
        self.counts = {"attempts": 0, "effects": 0, "replays": 0, "refusals": 0}
        self.is_changed = False
        self._journal, self._changed = journal, changed
        self._lock = threading.RLock()

    def kill(self) -> None:
        """SIGKILL; harmless when dead."""
        with self._lock:
            self.server.kill()
            self._set(DOWN)

    def pause(self) -> None:
        with self._lock:
            if self.state == UP:
                self.server.pause()
                self._set(PAUSED)

    def resume(self) -> None:
        with self._lock:
            if self.state == PAUSED:
                self.server.resume()
                self._set(UP)

    def restart(self, between: Callable[[], None] = lambda: None) -> None:
        """SIGKILL if it lives, and a new life on the same data. `between`: done while it is dead."""
        with self._lock:
            if self.state != DOWN:
                self.kill()
            between()
            self._set(STARTING)
            try:
                self.server.restart()
            except BaseException:
                self._set(DOWN)
                raise
            self._set(UP)

    def look(self) -> bool:
        """Whether it has died by itself since the last look."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self.state in (DOWN, STARTING) or self.server.returncode is None:
                return False
            self._set(DOWN)
            return True
        finally:
            self._lock.release()

    @property
    def is_dead(self) -> bool:
        return self.state == DOWN

    def be_there(self) -> None:
        """Raises ConnectionRefusedError where nobody listens; before a container something does, dead or not."""
        if self.state in (DOWN, STARTING):
            raise ConnectionRefusedError(f"{self.id} is {self.state}")

    def count_arrival(self) -> None:
        """An attempt has come to it."""
        self._count("attempts", 1)

    def count_answer(self, said: ReplySummary) -> None:
        """It has answered one."""
        if said.answer == "replayed":
            self._count("replays", 1)
        elif said.answer != "ok" and not said.settles:
            self._count("refusals", 1)

    def count_effects(self, more: int) -> None:
        """The store holds more effects of calls that came to it."""
        self._count("effects", more)

    def tell(self) -> None:
        """Its state, as an event."""
        self.is_changed = False
        self._journal.add("server", server=self.id, state=self.state, counts=dict(self.counts))

    def _count(self, what: str, more: int) -> None:
        self.counts[what] += more
        self.is_changed = True
        self._changed()

    def _set(self, state: str) -> None:
        if state != self.state:
            self.deaths += state == DOWN
            self.state = state
            self.tell()
