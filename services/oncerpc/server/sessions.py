"""Sessions: who may call, and what was acknowledged. How long one lives without a call: `leases`.

Guarantee: a session once refused as expired stays so (it is gone, in the same transaction), and no name or number comes
twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oncerpc.server.config import Config
from oncerpc.server.leases import renewal_is_due, renewed_until_ms
from oncerpc.server.records import Records, Session
from oncerpc.wire.errors import SessionUnknown, TooManySessions

__all__ = ["Sessions"]

SWEEP_PORTION = 100


class Sessions:
    """The rules of sessions; what is stored stands in the group's transaction."""

    def __init__(self, config: Config, new_name: Callable[[], str]) -> None:
        self._config = config
        self._new_name = new_name

    def open(self, group: Records[Any], lease_ms: int | None, now_ms: int) -> Session:
        """A new session. Raises TooManySessions: none is evicted, but those whose lease is over do not count."""
        sessions_max = self._config.sessions_max
        if sessions_max is not None:
            if group.sessions_open >= sessions_max:
                self.sweep(group, now_ms)
            if group.sessions_open >= sessions_max:
                raise TooManySessions(sessions_max=sessions_max)
        lease_ms = min(lease_ms or self._config.lease_ms, self._config.lease_max_ms)
        opened: Session = group.open_session(self._new_name(), lease_ms, now_ms + lease_ms)
        return opened

    def live(self, group: Records[Any], name: str, now_ms: int) -> Session:
        """The session, with its lease renewed. Raises SessionUnknown; an expired one is gone from then on."""
        session: Session | None = group.session(name)
        if session is None:
            raise SessionUnknown()
        if session.expires_ms <= now_ms:
            group.end_session(session)
            raise SessionUnknown()
        if renewal_is_due(session.lease_ms, session.expires_ms, now_ms):
            group.renew(session, renewed_until_ms(session.lease_ms, now_ms))
        return session

    def sweep(self, group: Records[Any], now_ms: int) -> bool:
        """Forget a bounded portion of the sessions whose lease is over, so that calls never wait long for it.

        Whether there may be more of them.
        """
        expired = group.sessions_expired(now_ms, SWEEP_PORTION)
        for session in expired:
            group.end_session(session)
        return len(expired) == SWEEP_PORTION
