"""What a group of calls has changed so far, over what the store holds: read through, written at the end.

Each call gets an `Effect` of its own on top of the `Group`, and only a call that is to stay is merged; so a call that
fails inside a group fails alone, without a savepoint in the store. `Group.finish` applies everything in one go.
"""

from __future__ import annotations

from oncekv.server.storage.base import Changes, KeyedRecord, Record, Row, SessionRow, Tally, Writer

__all__ = ["Effect", "Group"]


class Group:
    """The calls of one transaction, as one change."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._changes = Changes()
        self._sessions: dict[str, SessionRow | None] = {}
        self._tally = writer.tally()
        self._opened = 0
        self._dirty = False

    def finish(self, clock_ms: int, *, save_clock: bool) -> None:
        """Write what changed; nothing is written where nothing did and the clock need not be saved."""
        if self._dirty or save_clock:
            self._writer.apply(self._changes, self._tally._replace(clock_ms=clock_ms))

    @property
    def tally(self) -> Tally:
        """Counts, the sessions opened and ended in this group among them."""
        sessions = self._tally.sessions + self._opened - len(self._changes.ended)
        return self._tally._replace(sessions=sessions)

    @property
    def has_opened(self) -> bool:
        """Whether a session was opened in this group."""
        return self._opened > 0

    def row(self, key: str) -> Row | None:
        rows = self._changes.rows
        return rows[key] if key in rows else self._writer.row(key)

    def merge(self, effect: Effect) -> None:
        """The call stays: its effect becomes the group's."""
        if effect.rows:
            self._changes.rows.update(effect.rows)
            self._dirty = True

    def session(self, name: str) -> SessionRow | None:
        if name not in self._sessions:
            self._sessions[name] = self._writer.session(name)
        return self._sessions[name]

    def put_session(self, session: SessionRow) -> None:
        self._sessions[session.name] = self._changes.sessions[session.name] = session
        self._dirty = True

    def open_session(self, name: str, lease_ms: int, expires_ms: int) -> SessionRow:
        """A new session under a number that was never given out before."""
        self._opened += 1
        number = self._tally.sessions_opened + 1
        self._tally = self._tally._replace(sessions_opened=number)
        session = SessionRow(number, name, lease_ms, expires_ms, 0)
        self.put_session(session)
        return session

    def acknowledge(self, session: SessionRow, acked: int) -> SessionRow:
        """Move the watermark; the records at or below it go with it."""
        moved = session._replace(acked=acked)
        self._changes.acked[session.number] = acked
        self.put_session(moved)
        return moved

    def end_session(self, session: SessionRow) -> None:
        """The session and its records are gone for good."""
        self._sessions[session.name] = None
        self._changes.sessions.pop(session.name, None)
        self._changes.ended.add(session.number)
        self._dirty = True

    def sessions_expired(self, now_ms: int, limit: int) -> list[SessionRow]:
        """Up to `limit` sessions whose lease is over, but for those that this group has touched."""
        found = self._writer.sessions_expired(now_ms, limit + len(self._changes.ended))
        return [session for session in found if self._sessions.get(session.name, session) == session][:limit]

    def record(self, session: SessionRow, seq: int) -> Record | None:
        identity = (session.number, seq)
        return self._changes.records.get(identity) or self._writer.record(*identity)

    def put_record(self, session: SessionRow, seq: int, record: Record) -> None:
        self._changes.records[session.number, seq] = record
        self._dirty = True

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        return self._changes.keyed.get((scope, key)) or self._writer.keyed(scope, key)

    def put_keyed(self, scope: bytes, key: str, record: KeyedRecord) -> None:
        self._changes.keyed[scope, key] = record
        self._dirty = True

    def forget_keyed(self, now_ms: int) -> None:
        """Forget a bounded portion of the keyed records whose time is over."""
        if self._writer.keyed_expired(now_ms):
            self._changes.keyed_expired_ms = now_ms
            self._dirty = True


class Effect:
    """What one call changes, on top of its group; dropped unless merged."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self.rows: dict[str, Row | None] = {}

    def row(self, key: str) -> Row | None:
        return self.rows[key] if key in self.rows else self._group.row(key)

    def put(self, key: str, value: str) -> int:
        """Write a value; the key's new version."""
        before = self.row(key)
        version = before.version + 1 if before else 1
        self.rows[key] = Row(value, version)
        return version

    def delete(self, key: str) -> None:
        self.rows[key] = None
