"""None (step 8): identities are ignored, every attempt runs; the control that shows what retries do by themselves."""

from __future__ import annotations

from typing import Any

from oncerpc.server.config import Config
from oncerpc.server.dedup.base import Attempt, DedupGate
from oncerpc.server.records import Records, SessionReader
from oncerpc.server.sessions import Sessions
from oncerpc.wire.identity import CallMeta
from oncerpc.wire.jsonrpc import Reply

__all__ = ["NoDedup", "make"]


def make(_config: Config, _sessions: Sessions) -> DedupGate:
    return NoDedup()


class NoDedup:
    """No gate at all."""

    def admit(self, group: Records[Any], attempt: Attempt, now_ms: int) -> Reply | None:  # noqa: ARG002 the gate's signature
        return None

    def record_reply(self, group: Records[Any], attempt: Attempt, reply: Reply, now_ms: int) -> None:
        """Nothing is remembered."""

    def is_plain_read(self, reader: SessionReader, meta: CallMeta, now_ms: int) -> bool:  # noqa: ARG002 the gate's signature
        return True

    def transaction_ended(self, *, committed: bool) -> None:
        """Nothing is kept."""
