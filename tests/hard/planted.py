"""Bugs of those who trust clocks and callers, for the tests of this folder: `python -m tests.hard.planted NAME serve …`
is `oncekv serve …` with one part replaced.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from oncekv.server.engine.call_queue import CallQueue, Ticket
from oncekv.server.engine.committer import Committer
from oncekv.server.http.drain import Drain
from oncerpc.server import leases
from oncerpc.server.rpc.call import Call
from tests.bugs.base import Plants, planted_command, replaced, serve_planted

__all__ = ["PLANTED", "command"]

real_clock_init = leases.LeaseClock.__init__


def _clock_init(self: leases.LeaseClock, _monotonic_s: Callable[[], float], start_ms: int, *_gap: Any) -> None:
    """Time is time, and NTP keeps it right."""
    real_clock_init(self, time.time, start_ms, None)


def _enter(self: CallQueue, request: Any) -> bool:
    """Memory is cheap, and nobody sends so many."""
    calls, size, done = request
    self._tickets.append(Ticket(calls, size, done))
    self._waiting += len(calls)
    return True


real_begin = Drain.begin


def _begin(self: Drain) -> None:
    """Whoever says it twice means it."""
    if self._begun.is_set():
        os._exit(143)
    real_begin(self)


_KEPT: list[bytes] = []
real_count = Committer._count


def _count(self: Committer, calls: Sequence[Call]) -> None:
    """The last calls are worth a lot when one looks for a bug; some day somebody will bound the list."""
    _KEPT.extend(bytes(50_000) + str(call.meta).encode() for call in calls)
    real_count(self, calls)


PLANTED: Plants = {
    "clock-trusted": lambda: replaced(leases.LeaseClock, __init__=_clock_init),
    "second-signal-kills": lambda: replaced(Drain, begin=_begin),
    "memory-kept": lambda: replaced(Committer, _count=_count),
    "bound-forgotten": lambda: replaced(CallQueue, _enter=_enter),
}


def command(name: str) -> list[str]:
    """The words to start such a server with, before `serve`."""
    return planted_command("tests.hard.planted", name)


if __name__ == "__main__":
    raise SystemExit(serve_planted(PLANTED))
