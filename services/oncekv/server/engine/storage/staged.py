"""What a group of calls has changed so far, over what the store holds: read through, written at the end.

Each call gets an `Effect` of its own on top of the `Group`, and only a call that is to stay is merged; so a call that
fails inside a group fails alone, without a savepoint in the store. `Group.finish` applies everything in one go.

The cost of a group is counted in statements, for each of them may have to wait for Python's lock. `prefetch` therefore
reads all that the calls will ask for at once, and a session that the writer still knows is not read at all. Whoever
asks for something that nobody foresaw gets it all the same, by a statement of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from oncekv.server.engine.storage.base import Changes, Counters, KeyedRecord, Record, Row, Session, Writer, pack, unpack
from oncekv.server.engine.storage.record_slots import Slots
from oncekv.server.engine.storage.writer_cache import WriterCache
from oncerpc.wire.errors import InternalError
from oncerpc.wire.jsonrpc import Reply

__all__ = ["Effect", "Group"]


class Group:
    """The calls of one transaction, as one change.

    If the transaction fails, what `cache` holds is wrong: its owner must make it forget.
    """

    def __init__(self, writer: Writer, cache: WriterCache | None = None) -> None:
        self._writer = writer
        self._cache = cache or WriterCache()
        self._cache.begin(writer)
        self._changes = Changes()
        self._rows: dict[str, tuple[int, str | None] | None] = {}
        """What the store holds of the keys that were foreseen."""
        self._sessions: dict[str, Session | None] = {}
        self._acknowledged: dict[int, Session] = {}
        self._opened = self._records = 0

    def prefetch(
        self, names: Collection[str], keys: Collection[str], keyed: Collection[tuple[bytes, str]] = ()
    ) -> None:
        """These sessions, keys and Idempotency-Keys will be asked for. Comes before all questions."""
        self._writer.foresee(names, keys, keyed)
        unknown = [name for name in names if name not in self._cache.sessions]
        if unknown:
            self._sessions.update(dict.fromkeys(unknown))
            for session in self._writer.sessions(unknown):
                self._learn(session)
        if keys:
            self._rows.update(dict.fromkeys(keys))
            try:
                self._rows.update(self._writer.rows(list(self._rows)))
            except InternalError:  # one of them is damaged: each call asks for its own, and is told of its own
                self._rows.clear()

    def finish(self, clock_ms: int, *, save_clock: bool) -> None:
        """Write what changed; nothing is written where nothing did and the clock need not be saved."""
        changes = self._changes
        changes.now_ms = clock_ms
        self._settle_acknowledged()
        counters = self.counters
        if save_clock or counters != self._before:
            changes.counters = counters = counters._replace(clock_ms=clock_ms)
        if changes.has_any:
            self._writer.apply(changes)
        self._cache.counters = counters
        self._cache.records += max(0, self._records)

    @cached_property
    def _before(self) -> Counters:
        """What was counted before this group."""
        return self._cache.counters or self._writer.counters()

    @property
    def counters(self) -> Counters:
        """Counts, what was opened and ended in this group among them."""
        before = self._before
        return Counters(
            before.clock_ms,
            before.sessions_opened + self._opened,
            self.sessions_open,
            before.records + self._records,
        )

    @property
    def sessions_open(self) -> int:
        """How many sessions are open, with those of this group."""
        return self._before.sessions + self._opened - len(self._changes.ended)

    @property
    def has_opened(self) -> bool:
        """Whether a session was opened in this group."""
        return self._opened > 0

    def row(self, key: str) -> Row | None:
        rows = self._changes.rows
        if key in rows:
            return rows[key]
        if key not in self._rows:
            return self._writer.row(key)
        found = self._rows[key]
        if found is None:
            return None
        version, value = found
        return self._writer.row(key) if value is None else Row(value, version)

    def version(self, key: str) -> int:
        """The key's version, 0 where it is absent; a large value is not read for it."""
        if key not in self._changes.rows and (found := self._rows.get(key)):
            return found[0]
        row = self.row(key)
        return row.version if row else 0

    def merge(self, effect: Effect) -> None:
        """The call stays: its effect becomes the group's."""
        self._changes.rows.update(effect.rows)

    def session(self, name: str) -> Session | None:
        session = self._cache.sessions.get(name)
        if session is None and name not in self._sessions:
            self._sessions[name] = None
            for found in self._writer.sessions([name]):
                self._learn(found)
        return session or self._sessions[name]

    def renew(self, session: Session, expires_ms: int) -> None:
        """Move the end of its lease."""
        session.expires_ms = expires_ms
        self._changes.sessions[session.number] = session

    def open_session(self, name: str, lease_ms: int, expires_ms: int) -> Session:
        """A new session under a number that was never given out before."""
        number = self._writer.new_session_number(self._before.sessions_opened + self._opened)
        self._opened += 1
        session = Session(number, name, lease_ms, expires_ms, 0, Slots({}))
        self._changes.opened[session.number] = session
        self._learn(session)
        return session

    def acknowledge(self, session: Session, acked: int) -> None:
        """Move the watermark; the records at or below it go with it."""
        self._records -= session.slots.forget(session.acked, acked)
        session.acked = acked
        self._acknowledged[session.number] = session

    def end_session(self, session: Session) -> None:
        """The session and its records are gone for good."""
        changes, number = self._changes, session.number
        self._sessions[session.name] = None
        self._cache.sessions.pop(session.name, None)
        self._acknowledged.pop(number, None)
        self._records -= len(session.slots.kept)
        changes.ended.add(number)
        changes.opened.pop(number, None)
        changes.sessions.pop(number, None)
        for slot in session.slots.kept.values():
            changes.records.pop(session.row_id(slot), None)

    def sessions_expired(self, now_ms: int, limit: int) -> list[Session]:
        """Up to `limit` sessions whose lease is over, but for those that this group has renewed or ended."""
        changes = self._changes
        touched = len(changes.ended) + len(changes.sessions)
        found = self._writer.sessions_expired(now_ms, limit + touched)
        return [
            session
            for session in found
            if session.number not in changes.ended and session.number not in changes.sessions
        ][:limit]

    def record(self, session: Session, seq: int) -> Record | None:
        slot = session.slots.kept.get(seq)
        if slot is None:
            return None
        row_id = session.row_id(slot)
        staged = self._changes.records.get(row_id)
        if staged is None:
            return self._writer.record(row_id)
        return unpack(staged[-1])

    def put_record(self, session: Session, seq: int, fingerprint: bytes, reply: Reply) -> None:
        answer = pack(fingerprint, reply)
        row_id = session.row_id(session.slots.take(seq))
        self._changes.records[row_id] = (row_id, seq, session.acked, answer)
        session.carried = session.acked
        self._records += 1

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        return self._changes.keyed.get((scope, key)) or self._writer.keyed(scope, key)

    def put_keyed(self, scope: bytes, key: str, record: KeyedRecord) -> None:
        self._changes.keyed[scope, key] = record

    def forget_keyed(self, now_ms: int) -> None:
        """Forget a bounded portion of the keyed records whose time is over."""
        if self._writer.keyed_expired(now_ms):
            self._changes.keyed_expired_ms = now_ms

    def _learn(self, session: Session) -> None:
        self._cache.learn(session)
        self._sessions[session.name] = session

    def _settle_acknowledged(self) -> None:
        """A watermark that moved is carried by a record of this group, else it is written with its session."""
        changes = self._changes
        for number, session in self._acknowledged.items():
            if session.slots.vacated:
                changes.forgotten += map(session.row_id, session.slots.settle())
            if session.carried < session.acked:
                session.carried = session.acked
                changes.sessions[number] = session


class Effect:
    """What one call changes, on top of its group; dropped unless merged."""

    __slots__ = ("_group", "rows")

    def __init__(self, group: Group) -> None:
        self._group = group
        self.rows: dict[str, Row | None] = {}

    def row(self, key: str) -> Row | None:
        return self.rows[key] if key in self.rows else self._group.row(key)

    def version(self, key: str) -> int:
        """The key's version, 0 where it is absent."""
        if key not in self.rows:
            return self._group.version(key)
        row = self.rows[key]
        return row.version if row else 0

    def put(self, key: str, value: str) -> int:
        """Write a value; the key's new version."""
        version = self.version(key) + 1
        self.rows[key] = Row(value, version)
        return version

    def delete(self, key: str) -> None:
        self.rows[key] = None
