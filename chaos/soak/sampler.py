"""What the servers and the store hold, looked at every few seconds, and how long calls took meanwhile."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from msgspec import Struct

from chaos.runtime.local import LocalServer
from chaos.soak.lane import Timing
from chaos.soak.world import World

__all__ = ["Held", "Sample", "Sampler"]

PAGE = os.sysconf("SC_PAGE_SIZE")


class Held(Struct, frozen=True):
    """By all processes of one server; `boot`: its starts on this store are told apart by it."""

    boot: int
    resident_bytes: int
    descriptors: int
    threads: int


class Sample(Struct, frozen=True):
    """At one moment; the calls are those that have ended since the one before. load: of the machine, one minute's."""

    at_s: float
    servers: list[Held | None]
    store_bytes: int
    calls: int
    p50_ms: float
    p99_ms: float
    retried: int
    load: float
    log_bytes: int = 0


class Sampler:
    """`timed` is called by the lanes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._began_s = time.monotonic()
        self._lock = threading.Lock()
        self._timings: list[Timing] = []
        self.unanswered = 0
        """Attempts that ended without an answer."""

    def timed(self, timing: Timing) -> None:
        """One call has ended."""
        with self._lock:
            self._timings.append(timing)
            self.unanswered += timing.unanswered

    def sample(self) -> Sample:
        """Now."""
        with self._lock:
            timings, self._timings = self._timings, []
        took = sorted(timing.took_ms for timing in timings) or [0.0]
        return Sample(
            at_s=round(time.monotonic() - self._began_s, 2),
            servers=[_held(server) for server in self._world.servers],
            store_bytes=self._world.store_bytes(),
            calls=len(timings),
            p50_ms=round(took[len(took) // 2], 2),
            p99_ms=round(took[len(took) * 99 // 100], 2),
            retried=sum(timing.attempts > 1 for timing in timings),
            load=os.getloadavg()[0],
            log_bytes=self._world.log_bytes(),
        )


def _held(server: LocalServer) -> Held | None:
    """None while it does not run, or ended as we looked."""
    if not server.running:
        return None
    try:
        seen = [_of_process(Path("/proc", str(pid))) for pid in server.members()]
    except OSError:
        return None
    return Held(server.boot, *(sum(one) for one in zip(*seen, strict=True))) if seen else None


def _of_process(place: Path) -> tuple[int, int, int]:
    resident = int((place / "statm").read_text().split()[1]) * PAGE
    return resident, len(os.listdir(place / "fd")), len(os.listdir(place / "task"))
