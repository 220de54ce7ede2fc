"""The sessions and records of one transaction, as the gate asks for them (`oncerpc.server.records`).

`claim` comes first: it makes the identity this transaction's own, or finds the record that is there, and only then is
the session read, so that what the gate decides on is newer than anything that it waited for. What a call changes of its
session (lease, watermark) is written at the end, by `flush`, so that calls of one session do not wait for each other
while their handlers run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from oncerpc.server.dedup.base import Attempt
from oncerpc.server.records import KeyedRecord, Record
from oncerpc.server.sql.database import Database, SqlAttempt
from oncerpc.server.sql.transaction import Transaction
from oncerpc.wire.jsonrpc import Reply

__all__ = ["RecordVanished", "SqlRecords", "SqlSession", "SqlStatements", "Times", "read_session"]


@dataclass(slots=True)
class SqlSession:
    """A row of once_session. Backups of the database are its owner's affair, and nobody says when one was restored."""

    is_restored: ClassVar[bool] = False
    number: int
    name: str
    lease_ms: int
    expires_ms: int
    acked: int


@dataclass(frozen=True, slots=True)
class Times:
    """What time it is. lease_ms: by the lease clock, for sessions. wall_ms: by the calendar, for Idempotency-Keys."""

    lease_ms: int
    wall_ms: int


class SqlStatements:
    """The statements, made once for a database."""

    def __init__(self, database: Database) -> None:
        sql = database.sql
        self.session = sql("SELECT number, name, lease_ms, expires_ms, acked FROM {session} WHERE name = ?")
        self.expired = sql(
            "SELECT number, name, lease_ms, expires_ms, acked FROM {session} WHERE expires_ms <= ?"  # noqa: S608
            f" ORDER BY expires_ms LIMIT ?{database.skip_locked}"
        )
        self.open = sql(
            "INSERT INTO {session} (name, lease_ms, expires_ms, acked) VALUES (?, ?, ?, 0) RETURNING number"
        )
        self.renew = sql("UPDATE {session} SET expires_ms = ? WHERE number = ? AND expires_ms < ?")
        self.acknowledge = sql("UPDATE {session} SET acked = ? WHERE number = ? AND acked < ?")
        self.forget = sql("DELETE FROM {record} WHERE session = ? AND seq <= ? AND reply IS NOT NULL")
        self.forget_all = sql("DELETE FROM {record} WHERE session = ?")
        self.end = sql("DELETE FROM {session} WHERE number = ?")
        self.record = sql("SELECT fingerprint, failed, reply, attempt FROM {record} WHERE session = ? AND seq = ?")
        self.keyed = sql(
            "SELECT fingerprint, failed, reply, attempt, expires_ms FROM {key} WHERE scope = ? AND key = ?"
        )
        self.drop_record = sql(
            "DELETE FROM {record} WHERE session = (SELECT number FROM {session} WHERE name = ?) AND seq = ?"
            " AND reply IS NULL"
        )
        self.drop_keyed = sql("DELETE FROM {key} WHERE scope = ? AND key = ? AND reply IS NULL")
        self.count = sql("SELECT (SELECT count(*) FROM {session}), (SELECT count(*) FROM {record})")
        self.clock = sql(f"SELECT clock_ms, saved_ms, {database.now_ms} FROM {{meta}} WHERE id = 1")  # noqa: S608
        self.save_clock = sql(
            "UPDATE {meta} SET clock_ms = ?, saved_ms = ? WHERE id = 1 AND clock_ms = ? AND saved_ms = ?"
        )
        self.prune_keys = sql(
            "DELETE FROM {key} WHERE (scope, key) IN"  # noqa: S608
            " (SELECT scope, key FROM {key} WHERE expires_ms <= ?"
            f" ORDER BY expires_ms LIMIT ?{database.skip_locked})"
        )


class RecordVanished(Exception):
    """The record that another transaction had committed was pruned before it could be read: ask again."""


class SqlRecords:
    """`token` marks the record that this attempt leaves, to know it again after a commit that got no answer."""

    def __init__(
        self, statements: SqlStatements, database: Database, tx: Transaction, times: Times, token: bytes
    ) -> None:
        self._sql = statements
        self._database = database
        self._tx = tx
        self._times = times
        self._token = token
        self._session: SqlSession | None = None
        self._has_read = self._has_claimed = self._has_tried = False
        self._renewed_ms = self._acked = 0
        self._row: dict[str, Any] = {}
        """The row that was claimed, or is to be."""
        self._drop: tuple[str, tuple[Any, ...]] | None = None
        self.has_changed = False
        """Whether there is anything to commit besides the call's own."""
        self.ended = 0
        """Sessions that this transaction has ended."""
        self.is_own = False
        """Whether the record that was found is the one that this attempt has left."""

    def claim(self, attempt: SqlAttempt, key_kept_ms: int) -> None:
        """Make the identity ours, or find that it is not. Raises StillRunning."""
        meta = attempt.meta
        self._has_tried = True
        if attempt.key is not None:
            self._row = row = {
                "scope": attempt.key.scope.decode(),
                "key": attempt.key.key,
                "fingerprint": attempt.fingerprint,
                "attempt": self._token,
                "created_ms": self._times.wall_ms,
                "expires_ms": self._times.wall_ms + key_kept_ms,
            }
            self._has_claimed = self._database.claim_key(
                self._tx, row, self._times.wall_ms, may_be_refused=attempt.may_be_refused
            )
            self._drop = (self._sql.drop_keyed, (row["scope"], row["key"]))
        elif meta.session is not None and meta.seq is not None:
            self._row = row = {"seq": meta.seq, "fingerprint": attempt.fingerprint, "attempt": self._token}
            self._has_claimed = self._database.claim_record(self._tx, meta.session, row)
            self._drop = (self._sql.drop_record, (meta.session, meta.seq))

    def is_ours(self, attempt: Attempt) -> bool:
        """Whether the attempt may run: its identity, if it has one, is this transaction's own."""
        return self._has_claimed or (attempt.key is None and attempt.meta.seq is None)

    def let_go(self) -> None:
        """The attempt was refused: its claim goes, and what it said of its session stays."""
        if self._has_claimed and self._drop is not None and self._database.claims_by_row:
            self._tx.run(*self._drop)
        self._has_claimed = False

    def flush(self) -> None:
        """Write what the call changed of its session."""
        session = self._session
        if session is None:
            return
        if self._renewed_ms:
            self._tx.run(self._sql.renew, (self._renewed_ms, session.number, self._renewed_ms))
        if self._acked:
            self._tx.run(self._sql.acknowledge, (self._acked, session.number, self._acked))
            self._tx.run(self._sql.forget, (session.number, self._acked))

    # --- what the gate asks for -------------------------------------------------------------------------------------

    @property
    def sessions_open(self) -> int:
        return int(self._tx.rows(self._sql.count)[0][0])

    def session(self, name: str) -> SqlSession | None:
        if not self._has_read:
            self._has_read = True
            self._session = read_session(self._tx, self._sql, name)
        return self._session

    def open_session(self, name: str, lease_ms: int, expires_ms: int) -> SqlSession:
        ((number,),) = self._tx.rows(self._sql.open, (name, lease_ms, expires_ms))
        self.has_changed = True
        return SqlSession(int(number), name, lease_ms, expires_ms, 0)

    def renew(self, session: SqlSession, expires_ms: int) -> None:
        session.expires_ms = self._renewed_ms = expires_ms
        self.has_changed = True

    def acknowledge(self, session: SqlSession, acked: int) -> None:
        session.acked = self._acked = acked
        self.has_changed = True

    def end_session(self, session: SqlSession) -> None:
        self._tx.run(self._sql.end, (session.number,))  # first: whoever acknowledges locks in this order as well
        self._tx.run(self._sql.forget_all, (session.number,))
        self._session, self._has_claimed, self._drop = None, False, None
        self.ended += 1
        self.has_changed = True

    def sessions_expired(self, now_ms: int, limit: int) -> Sequence[SqlSession]:
        return [SqlSession(*row) for row in self._tx.rows(self._sql.expired, (now_ms, limit))]

    def record(self, session: SqlSession, seq: int) -> Record | None:
        if self._has_claimed:
            return None
        row = self._found(self._tx.row(self._sql.record, (session.number, seq)))
        return None if row is None else Record(bytes(row[0]), self._reply(row))

    def put_record(self, session: SqlSession, seq: int, fingerprint: bytes, reply: Reply) -> None:  # noqa: ARG002 as it was claimed
        self._database.put_record(self._tx, session.number, self._row, reply)

    def keyed(self, scope: bytes, key: str) -> KeyedRecord | None:
        if self._has_claimed:
            return None
        row = self._found(self._tx.row(self._sql.keyed, (scope.decode(), key)))
        return None if row is None else KeyedRecord(bytes(row[0]), self._reply(row), row[4])

    def put_keyed(self, scope: bytes, key: str, record: KeyedRecord) -> None:  # noqa: ARG002 as it was claimed
        self._database.put_key(self._tx, self._row, record.reply)

    def _found(self, row: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        """The row that was in the claim's way. Raises RecordVanished where it has gone since."""
        if row is None and self._has_tried:
            raise RecordVanished()
        return row

    def _reply(self, row: tuple[Any, ...]) -> Reply:
        if row[2] is None:
            raise AssertionError("a record without a reply was committed: a handler has ended its transaction")
        self.is_own = bytes(row[3]) == self._token
        return Reply(bool(row[1]), bytes(row[2]))


def read_session(tx: Transaction, sql: SqlStatements, name: str) -> SqlSession | None:
    """The open session of that name."""
    row = tx.row(sql.session, (name,))
    return None if row is None else SqlSession(*row)
