"""Leases: how long a session lives without a call, when one is renewed, and the clock on which it runs.

The lease clock counts only while a server runs: it starts where the store last saved it, moves with the monotonic
clock, and lets no gap count (a paused process, a late tick) for more than `GAP_MAX_MS`. Clients therefore lose no
lease to the server's own downtime, and a wall clock that jumps moves nothing.

Limit: after SIGKILL the clock may step back by what was not saved, at most `SAVE_IDLE_MS` when idle, so a lease can
last that much longer, never shorter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["GAP_MAX_MS", "LeaseClock", "renewal_is_due", "renewed_until_ms"]

GAP_MAX_MS = 1000
SAVE_BUSY_MS = 500
SAVE_IDLE_MS = 5000
STEPPED_FROM_MS = 60_000


def renewal_is_due(lease_ms: int, expires_ms: int, now_ms: int) -> bool:
    """Whether this call would leave the client less than its lease."""
    return expires_ms - now_ms < lease_ms


def renewed_until_ms(lease_ms: int, now_ms: int) -> int:
    """When a lease ends that is renewed now.

    Leases are renewed in steps: a write every quarter lease, not one for every call. The step is given on top, so that
    no client's lease ever runs shorter than from its last call. A short lease is renewed by every call instead: what it
    saves would be little, and a quarter more of it is soon noticed.
    """
    return now_ms + lease_ms + (lease_ms // 4 if lease_ms >= STEPPED_FROM_MS else 0)


class LeaseClock:
    """Milliseconds that a server on this store has been up, over all its lives.

    `gap_max_ms` None: nobody calls regularly, and all time that the process has been up counts.
    """

    def __init__(self, monotonic_s: Callable[[], float], start_ms: int, gap_max_ms: float | None = GAP_MAX_MS) -> None:
        self._gap_max_ms = float("inf") if gap_max_ms is None else gap_max_ms
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._now_ms = float(start_ms)
        self._last_s = monotonic_s()
        self._saved_ms = start_ms

    def now_ms(self) -> int:
        """Call it at least every `GAP_MAX_MS`: of a longer gap the rest counts as downtime."""
        with self._lock:
            now_s = self._monotonic_s()
            self._now_ms += min((now_s - self._last_s) * 1000, self._gap_max_ms)
            self._last_s = now_s
            return int(self._now_ms)

    def catch_up(self, stored_ms: int) -> int:
        """Catch up with another server on the same store; the time that both agree on."""
        with self._lock:
            self._now_ms = max(self._now_ms, float(stored_ms))
            self._saved_ms = max(self._saved_ms, stored_ms)
        return self.now_ms()

    def save_is_due(self, now_ms: int, *, idle: bool, pace_ms: int | None = None) -> bool:
        """`pace_ms`: for a store that other servers read the clock from, busy or not."""
        return now_ms - self._saved_ms >= (pace_ms or (SAVE_IDLE_MS if idle else SAVE_BUSY_MS))
