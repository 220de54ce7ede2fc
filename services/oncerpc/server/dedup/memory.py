"""Memory (step 8): the naive control. It passes every test in which nothing restarts, and that is why people ship it.

Sessions are kept in the store; dedup records and watermarks only here, in the process that commits. A restart forgets
what ran, and the next retry runs it again. Two servers on one store do not share what they remember either.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from oncerpc.server.config import Config
from oncerpc.server.dedup.base import Attempt, DedupGate, IdempotencyKey
from oncerpc.server.dedup.persisted import check_seq, find_duplicate
from oncerpc.server.records import KeyedRecord, Record, Records, SessionReader
from oncerpc.server.sessions import Sessions
from oncerpc.wire.errors import SessionUnknown
from oncerpc.wire.identity import CallMeta
from oncerpc.wire.jsonrpc import Reply

__all__ = ["MemoryDedup", "make"]


def make(_config: Config, sessions: Sessions) -> DedupGate:
    return MemoryDedup(sessions)


class MemoryDedup:
    """The dedup table of one process's life."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._acked: dict[str, int] = defaultdict(int)
        self._records: dict[str, dict[int, Record]] = defaultdict(dict)
        self._keyed: dict[IdempotencyKey, KeyedRecord] = {}
        self._staged: dict[tuple[str, int], Record] = {}
        self._staged_keyed: dict[IdempotencyKey, KeyedRecord] = {}

    def admit(self, group: Records[Any], attempt: Attempt, now_ms: int) -> Reply | None:
        meta = attempt.meta
        if attempt.key is not None:
            kept = self._staged_keyed.get(attempt.key) or self._keyed.get(attempt.key)
            return find_duplicate(kept if kept and kept.expires_ms > now_ms else None, attempt)
        if meta.session is None:
            return None
        self._renew_and_acknowledge(group, meta, meta.session, now_ms)
        if meta.seq is None:
            return None
        check_seq(meta.seq, self._acked[meta.session])
        staged = self._staged.get((meta.session, meta.seq))
        return find_duplicate(staged or self._records[meta.session].get(meta.seq), attempt)

    def record_reply(self, group: Records[Any], attempt: Attempt, reply: Reply, now_ms: int) -> None:  # noqa: ARG002 gate's signature
        meta = attempt.meta
        if attempt.key is not None:
            self._staged_keyed[attempt.key] = KeyedRecord(attempt.fingerprint, reply, now_ms + attempt.key_kept_ms)
        elif meta.session is not None and meta.seq is not None:
            self._staged[meta.session, meta.seq] = Record(attempt.fingerprint, reply)

    def is_plain_read(self, reader: SessionReader, meta: CallMeta, now_ms: int) -> bool:  # noqa: ARG002 the gate's signature
        return meta.session is None

    def transaction_ended(self, *, committed: bool) -> None:
        if committed:
            for (session, seq), record in self._staged.items():
                self._records[session][seq] = record
            self._keyed.update(self._staged_keyed)
        self._staged.clear()
        self._staged_keyed.clear()

    def _renew_and_acknowledge(self, group: Records[Any], meta: CallMeta, session: str, now_ms: int) -> None:
        try:
            self._sessions.live(group, session, now_ms)
        except SessionUnknown:
            self._acked.pop(session, None)
            self._records.pop(session, None)
            raise
        if meta.acked > self._acked[session]:
            self._acked[session] = meta.acked
            kept = self._records[session]
            for seq in [seq for seq in kept if seq <= meta.acked]:
                del kept[seq]
