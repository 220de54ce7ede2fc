"""Persisted (step 8): effect and dedup record in one transaction; the default, and the point of OnceKV.

Guarantee: an identity's effect happens at most once, and every attempt whose record is kept gets the first reply,
across restarts, workers and servers that share the store. Limit: while the session is kept (its lease), and for an
Idempotency-Key for 24 hours of the store's running time; after that the same key is a new call.

The order of the questions matters. The session comes first, since without it nothing below means anything. Then the
watermark: what was acknowledged has lost its record, so a late duplicate must be refused before a missing record
could make it look new. Only then the window and the record. Where the store was restored from a backup, no record
means nothing for a session that is older: such a call is refused.
"""

from __future__ import annotations

from typing import Any

from oncerpc.server.config import Config
from oncerpc.server.dedup.base import Attempt, DedupGate, IdempotencyKey
from oncerpc.server.leases import renewal_is_due
from oncerpc.server.records import KeyedRecord, Record, Records, Session, SessionReader
from oncerpc.server.sessions import Sessions
from oncerpc.wire.errors import IdentityReused, SessionUnknown, StaleCall, WindowExceeded
from oncerpc.wire.identity import WINDOW, CallMeta
from oncerpc.wire.jsonrpc import Reply

__all__ = ["PersistedDedup", "check_seq", "find_duplicate", "make"]


def make(_config: Config, sessions: Sessions) -> DedupGate:
    return PersistedDedup(sessions)


class PersistedDedup:
    """The dedup table of the store."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def admit(self, group: Records[Any], attempt: Attempt, now_ms: int) -> Reply | None:
        meta = attempt.meta
        if attempt.key is not None:
            return self._admit_keyed(group, attempt, attempt.key, now_ms)
        if meta.session is None:
            return None
        session = self._renew_and_acknowledge(group, meta, meta.session, now_ms)
        if meta.seq is None:
            return None
        if session.is_restored and meta.seq > session.acked and group.record(session, meta.seq) is None:
            raise SessionUnknown()  # after the backup it may have run, and been answered
        check_seq(meta.seq, session.acked)
        return find_duplicate(group.record(session, meta.seq), attempt)

    def record_reply(self, group: Records[Any], attempt: Attempt, reply: Reply, now_ms: int) -> None:
        meta = attempt.meta
        if attempt.key is not None:
            record = KeyedRecord(attempt.fingerprint, reply, now_ms + attempt.key_kept_ms)
            group.put_keyed(*attempt.key, record)
        elif meta.session is not None and meta.seq is not None:
            session = group.session(meta.session)
            assert session is not None, "admit() let a call of an unknown session run"
            group.put_record(session, meta.seq, attempt.fingerprint, reply)

    def is_plain_read(self, reader: SessionReader, meta: CallMeta, now_ms: int) -> bool:
        if meta.session is None:
            return True
        return any(
            session.expires_ms > now_ms
            and meta.acked <= session.acked
            and not renewal_is_due(session.lease_ms, session.expires_ms, now_ms)
            for session in reader.sessions([meta.session])
        )

    def transaction_ended(self, *, committed: bool) -> None:
        """Nothing is kept outside the store."""

    def _renew_and_acknowledge(self, group: Records[Any], meta: CallMeta, name: str, now_ms: int) -> Session:
        """The live session, with what this attempt acknowledges taken in: it holds whatever becomes of the call."""
        session = self._sessions.live(group, name, now_ms)
        if meta.acked > session.acked:
            group.acknowledge(session, meta.acked)
        return session

    def _admit_keyed(self, group: Records[Any], attempt: Attempt, key: IdempotencyKey, now_ms: int) -> Reply | None:
        record = group.keyed(*key)
        if record is None or record.expires_ms <= now_ms:
            return None
        return find_duplicate(record, attempt)


def check_seq(seq: int, acked: int) -> None:
    """Raises StaleCall at or below the watermark, WindowExceeded too far above it."""
    if seq <= acked:
        raise StaleCall(acked=acked)
    if seq > acked + WINDOW:
        raise WindowExceeded(acked=acked, window=WINDOW)


def find_duplicate(record: Record | KeyedRecord | None, attempt: Attempt) -> Reply | None:
    """The recorded reply, if there is one. Raises IdentityReused when the record is of another call."""
    if record is None:
        return None
    if record.fingerprint != attempt.fingerprint:
        raise IdentityReused()
    return record.reply
