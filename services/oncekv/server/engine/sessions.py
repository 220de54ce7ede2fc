"""Sessions: who may call, for how long, and what was acknowledged.

A lease runs on the lease clock, which counts only while a server runs: it starts where the store last saved it, moves
with the monotonic clock, and lets no gap count (a paused process, a late tick) for more than `GAP_MAX_MS`. Clients
therefore lose no lease to the server's own downtime, and a wall clock that jumps moves nothing.

Guarantee: a session once refused as expired stays so (it is gone, in the same transaction), and no name or number comes
twice. Limit: after SIGKILL the clock may step back by what was not saved, at most `SAVE_IDLE_MS` when idle, so a
lease can last that much longer, never shorter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from oncekv.server.config import Config
from oncekv.server.engine.storage.base import Session
from oncekv.server.engine.storage.staged import Group
from oncekv.wire.errors import SessionUnknown, TooManySessions

__all__ = ["LeaseClock", "Sessions"]

GAP_MAX_MS = 1000
SAVE_BUSY_MS = 500
SAVE_IDLE_MS = 5000
SWEEP_PORTION = 100
STEPPED_FROM_MS = 60_000


class LeaseClock:
    """Milliseconds that a server on this store has been up, over all its lives."""

    def __init__(self, monotonic_s: Callable[[], float], start_ms: int) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._now_ms = float(start_ms)
        self._last_s = monotonic_s()
        self._saved_ms = start_ms

    def now_ms(self) -> int:
        """Call it at least every `GAP_MAX_MS`: of a longer gap the rest counts as downtime."""
        with self._lock:
            now_s = self._monotonic_s()
            self._now_ms += min((now_s - self._last_s) * 1000, GAP_MAX_MS)
            self._last_s = now_s
            return int(self._now_ms)

    def catch_up(self, stored_ms: int) -> int:
        """Catch up with another server on the same store; the time that both agree on."""
        with self._lock:
            self._now_ms = max(self._now_ms, float(stored_ms))
            self._saved_ms = max(self._saved_ms, stored_ms)
        return self.now_ms()

    def save_is_due(self, now_ms: int, *, idle: bool) -> bool:
        return now_ms - self._saved_ms >= (SAVE_IDLE_MS if idle else SAVE_BUSY_MS)

    def saved(self, now_ms: int) -> None:
        self._saved_ms = now_ms


def _step_ms(session: Session) -> int:
    """Leases are renewed in steps: a write every quarter lease, not one for every call.

    The step is given on top, so that no client's lease ever runs shorter than from its last call. A short lease is
    renewed by every call instead: what it saves would be little, and a quarter more of it is soon noticed.
    """
    return session.lease_ms // 4 if session.lease_ms >= STEPPED_FROM_MS else 0


class Sessions:
    """The rules of sessions; what is stored stands in the group's transaction."""

    def __init__(self, config: Config, new_name: Callable[[], str]) -> None:
        self._config = config
        self._new_name = new_name

    def open(self, group: Group, lease_ms: int | None, now_ms: int) -> Session:
        """A new session. Raises TooManySessions: none is evicted, but those whose lease is over do not count."""
        if group.counters.sessions >= self._config.sessions_max:
            self.sweep(group, now_ms)
        if group.counters.sessions >= self._config.sessions_max:
            raise TooManySessions(sessions_max=self._config.sessions_max)
        lease_ms = min(lease_ms or self._config.lease_ms, self._config.lease_max_ms)
        return group.open_session(self._new_name(), lease_ms, now_ms + lease_ms)

    def live(self, group: Group, name: str, now_ms: int) -> Session:
        """The session, with its lease renewed. Raises SessionUnknown; an expired one is gone from then on."""
        session = group.session(name)
        if session is None:
            raise SessionUnknown()
        if session.expires_ms <= now_ms:
            group.end_session(session)
            raise SessionUnknown()
        if self.renewal_is_due(session, now_ms):
            group.renew(session, now_ms + session.lease_ms + _step_ms(session))
        return session

    def renewal_is_due(self, session: Session, now_ms: int) -> bool:
        """Whether this call would leave the client less than its lease."""
        return session.expires_ms - now_ms < session.lease_ms

    def sweep(self, group: Group, now_ms: int) -> bool:
        """Forget a bounded portion of the sessions whose lease is over, so that calls never wait long for it.

        Whether there may be more of them.
        """
        expired = group.sessions_expired(now_ms, SWEEP_PORTION)
        for session in expired:
            group.end_session(session)
        return len(expired) == SWEEP_PORTION
