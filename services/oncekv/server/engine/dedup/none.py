"""None (8): identities are ignored and every attempt runs; the control that shows what retries do by themselves."""

from __future__ import annotations

from oncekv.server.config import Config
from oncekv.server.engine.dedup.base import Attempt, DedupGate
from oncekv.server.engine.sessions import Sessions
from oncekv.server.engine.storage.base import Reader
from oncekv.server.engine.storage.staged import Group
from oncekv.wire.envelope import Reply
from oncekv.wire.identity import CallMeta

__all__ = ["NoDedup", "make"]


def make(_config: Config, _sessions: Sessions) -> DedupGate:
    return NoDedup()


class NoDedup:
    """No gate at all."""

    def admit(self, group: Group, attempt: Attempt, now_ms: int) -> Reply | None:  # noqa: ARG002 the gate's signature
        return None

    def settle(self, group: Group, attempt: Attempt, reply: Reply, now_ms: int) -> None:
        """Nothing is remembered."""

    def passes_read(self, reader: Reader, meta: CallMeta, now_ms: int) -> bool:  # noqa: ARG002 the gate's signature
        return True

    def finished(self, *, committed: bool) -> None:
        """Nothing is kept."""
