"""One attempt in one transaction: the gate, the handler, the record, the commit, and what to do where that fails.

    claim the identity      a duplicate waits here for the one that runs (`database`)
    the gate                run it, replay it, or refuse it: the same rules as everywhere (`oncerpc.server.dedup`)
    the handler             writes through the transaction's connection
    the record, the commit  together; only then is anybody told

A handler that says no (a recorded error, a status from 400 to 499) has what it wrote rolled back to the mark that was
set behind the claim, and its reply is recorded in the same transaction. Where it has rolled all of it back itself, as
sessions do on the way of an error, that is a transaction of its own; if a duplicate ran in between, its reply is given
instead. A handler that fails is rolled back and nothing is recorded.

Where the database gives the transaction up for another one, the whole of it is run again, in bounds. Where the
connection is lost while it commits nobody knows, so the record is looked for, in a way that waits for a commit that
is still in flight, before anyone is told anything (`bounded_retry`).
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError

from oncerpc.server.dedup.base import DedupGate
from oncerpc.server.log import log
from oncerpc.server.metrics import Metrics
from oncerpc.server.records import StoreFailed, StoreRefused
from oncerpc.server.sql.bounded_retry import Conflict, StaleConnection, Unclear, again, in_bounds
from oncerpc.server.sql.clock import DatabaseClock
from oncerpc.server.sql.database import Database, SqlAttempt, StatementsForgotten, StillRunning
from oncerpc.server.sql.errors import is_busy, is_conflict, is_surely_undone, one_line
from oncerpc.server.sql.records import RecordVanished, SqlRecords, SqlStatements, Times
from oncerpc.server.sql.transaction import Transaction, TransactionEnded
from oncerpc.wire.errors import Refused
from oncerpc.wire.identity import NO_META, CallMeta
from oncerpc.wire.jsonrpc import Reply

__all__ = ["NO_CALL", "Executed", "Executor", "Work"]

WAIT_NOTED_S = 0.05
"""From here on an attempt counts as one that has waited for another transaction."""
TOKEN_BYTES = 8


class Work(SqlAttempt, Protocol):
    """An attempt, and what it does."""

    @property
    def asks_for_a_session(self) -> bool:
        """Whether sessions, and so the lease clock, have to do with it."""
        ...

    @property
    def name(self) -> str:
        """As metrics and failpoints know it."""
        ...

    @property
    def keys(self) -> Iterable[str]:
        """What a failpoint's `match` is compared with."""
        ...

    def begin(self) -> None:
        """It is about to run. Raises Refused where it is too late."""
        ...

    def run(self, tx: Transaction, records: SqlRecords) -> Reply:
        """Do it. A reply that says no is recorded, and what was written is rolled back; whatever is raised is not."""
        ...


class Executed(NamedTuple):
    """What an attempt came to."""

    reply: Reply
    replayed: bool


Passing = Callable[[str, str, Iterable[str]], object]
"""Called at `before_execute`, `after_execute` and `after_commit` with the method's name and the call's keys."""


class Executor:
    """Runs attempts on one database. Safe for threads."""

    def __init__(
        self,
        database: Database,
        statements: SqlStatements,
        gate: DedupGate,
        clock: DatabaseClock,
        metrics: Metrics,
        *,
        claims: bool = True,
    ) -> None:
        """`claims` False: identities are ignored, as the gate that goes with it ignores them."""
        self.database = database
        self.statements = statements
        self.failpoint: Passing | None = None
        self.observers: list[Passing] = []
        """Called at each of the three points before the failpoint; for tests."""
        self._gate = gate
        self._claims = claims
        self._clock = clock
        self._metrics = metrics

    def run(self, work: Work) -> Executed:
        """Bring an attempt to its reply.

        Raises Refused; StillRunning; StoreRefused where the database is away and nothing has begun; StoreFailed where
        nobody can tell what a commit came to; and whatever the handler raised, which is rolled back.
        """
        try:
            token = secrets.token_bytes(TOKEN_BYTES)
            return in_bounds(lambda: self._attempt(work, token), has_identity=_has_identity(work))
        except (Refused, StillRunning, StoreRefused, StoreFailed):
            raise
        except Exception:
            self._acknowledge(work.meta)
            raise
        finally:
            if work.asks_for_a_session:
                self._save_clock()

    def observe(self, point: str, work: Work) -> None:
        """An attempt passes this point."""
        for observer in self.observers:
            observer(point, work.name, work.keys)

    def passed_commit(self, work: Work) -> None:
        """Committed, and nobody has been told: the moment that all this is about."""
        self._pass("after_commit", work)

    def touch(self, meta: CallMeta) -> None:
        """What a read says of its session: it lives on, and holds these replies. Raises Refused, StoreRefused."""
        try:
            again(lambda: self._touch(meta))
        finally:
            self._save_clock()

    def _touch(self, meta: CallMeta) -> None:
        with self.untied() as (tx, records, times):
            try:
                self._gate.admit(records, _NoCall(meta), times.lease_ms)
            finally:
                self._finish(tx, records)

    @contextlib.contextmanager
    def untied(self) -> Iterator[tuple[Transaction, SqlRecords, Times]]:
        """A transaction that belongs to no call; whoever asks for it finishes it."""
        with self.database.attempt(NO_CALL) as tx:
            times = self._times(tx, None)
            yield tx, self._records(tx, b"", times), times

    def _acknowledge(self, meta: CallMeta) -> None:
        """What a call that failed says of its session holds all the same."""
        if meta.session is None or not meta.acked:
            return
        try:
            self.touch(CallMeta(session=meta.session, acked=meta.acked))
        except Exception as error:
            log.warning("a failed call's acknowledgement was not kept: %s", one_line(error))

    def _save_clock(self) -> None:
        """The lease clock is one for all processes; whoever finds that it was not saved for a while saves it."""
        if not self._clock.is_to_be_saved():
            return
        try:
            with self.database.attempt(NO_CALL) as tx:
                self._clock.save(tx)
                tx.finish()
        except Exception as error:
            if not is_conflict(error):  # else another process has saved it at this moment
                log.warning("the lease clock could not be saved: %s", one_line(error))

    def _attempt(self, work: Work, token: bytes) -> Executed:
        began_s = time.monotonic()
        try:
            with self.database.attempt(work) as tx:
                records, now_ms, recorded = self._admit(tx, work, token)
                if time.monotonic() - began_s > WAIT_NOTED_S:
                    self._metrics.waits.labels(work.name).inc()
                if recorded is not None:
                    self._finish(tx, records)
                    return Executed(recorded, replayed=not records.is_own)
                reply = self._execute(tx, work, records)
                if not reply.failed or (_has_identity(work) and not tx.ended_by):
                    self._pass("after_execute", work)
                    self._settle(tx, work, records, reply, now_ms)
                    return Executed(reply, replayed=False)
            return self._record_failure(work, reply, token)
        except (RecordVanished, StatementsForgotten) as error:
            raise Conflict() from error
        except DBAPIError as error:
            if is_conflict(error):
                raise Conflict() from error
            raise

    def _admit(self, tx: Transaction, work: Work, token: bytes) -> tuple[SqlRecords, int, Reply | None]:
        """The gate's answer; None: the attempt may run, and what stands before it is marked."""
        try:
            records, now_ms, recorded = self._recorded(tx, work, token)
            if recorded is None:
                if self._claims and not records.is_ours(work):
                    raise Conflict()  # what stood there went between two statements: forgotten, or pruned
                with self._keeping_session(tx, records):
                    self._pass("before_execute", work)
                    work.begin()
                    self.database.mark(tx)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StaleConnection(one_line(error)) from error
            raise
        return records, now_ms, recorded

    def _recorded(self, tx: Transaction, work: Work, token: bytes) -> tuple[SqlRecords, int, Reply | None]:
        """Claim the identity and ask the gate: what is recorded of it, or None. Raises Refused."""
        times = self._times(tx, work)
        records = self._records(tx, token, times)
        if self._claims:
            records.claim(work, work.key_kept_ms)
        now_ms = times.lease_ms if work.key is None else times.wall_ms
        with self._keeping_session(tx, records):
            return records, now_ms, self._gate.admit(records, work, now_ms)

    @contextlib.contextmanager
    def _keeping_session(self, tx: Transaction, records: SqlRecords) -> Iterator[None]:
        """A refusal leaves what the attempt says of its session, and no claim."""
        try:
            yield
        except Refused:
            records.let_go()
            self._finish(tx, records)
            raise

    def _execute(self, tx: Transaction, work: Work, records: SqlRecords) -> Reply:
        """Run the handler. Raises Conflict where the database gave it up, whatever the handler made of that."""
        try:
            with tx.handed_out():
                reply = work.run(tx, records)
        except Exception as error:
            if tx.conflict is not None:
                raise Conflict() from error
            if tx.ended_by and isinstance(error, InvalidRequestError):  # it went on, and SQLAlchemy would not have it
                raise TransactionEnded(tx.ended_by) from error
            raise
        if reply.failed and tx.conflict is not None:
            raise Conflict() from tx.conflict
        if not reply.failed and tx.ended_by:
            raise TransactionEnded(tx.ended_by)
        if not reply.failed:
            self.database.verify(tx)
        elif _has_identity(work) and not tx.ended_by:
            self.database.unwind(tx)
        return reply

    def _record_failure(self, work: Work, reply: Reply, token: bytes) -> Executed:
        """The handler has rolled all back, the claim too; its reply is recorded, unless another has run meanwhile."""
        if not _has_identity(work):
            return Executed(reply, replayed=False)
        with self.database.attempt(work) as tx:
            records, now_ms, recorded = self._recorded(tx, work, token)
            if recorded is not None:
                self._finish(tx, records)
                return Executed(recorded, replayed=not records.is_own)
            self._pass("after_execute", work)
            self._settle(tx, work, records, reply, now_ms)
        return Executed(reply, replayed=False)

    def _settle(self, tx: Transaction, work: Work, records: SqlRecords, reply: Reply, now_ms: int) -> None:
        if tx.ended_by:
            raise TransactionEnded(tx.ended_by)
        self._gate.record_reply(records, work, reply, now_ms)
        records.flush()
        try:
            tx.finish()
        except SQLAlchemyError as error:
            if is_conflict(error) or (is_busy(error) and not _is_away(error)):
                raise Conflict() from error
            if is_surely_undone(error):
                raise
            raise Unclear() from error

    def _finish(self, tx: Transaction, records: SqlRecords) -> None:
        """Commit what an attempt that does not run changes of its session, if anything."""
        if records.has_changed:
            records.flush()
            tx.finish()

    def _records(self, tx: Transaction, token: bytes, times: Times) -> SqlRecords:
        return SqlRecords(self.statements, self.database, tx, times, token)

    def _times(self, tx: Transaction, work: Work | None) -> Times:
        """The lease clock is one for all processes on the database: whoever asks for a session looks at it first."""
        asks = work is None or work.asks_for_a_session
        return Times(self._clock.look(tx) if asks else self._clock.now_ms(), int(time.time() * 1000))

    def _pass(self, point: str, work: Work) -> None:
        self.observe(point, work)
        if self.failpoint is not None:
            self.failpoint(point, work.name, work.keys)


class _NoCall:
    """An attempt that only says something of its session."""

    key = None
    fingerprint = b""
    key_kept_ms = 0
    may_be_refused = False

    def __init__(self, meta: CallMeta) -> None:
        self.meta = meta


NO_CALL = _NoCall(NO_META)
"""Of a transaction that belongs to nobody."""


def _has_identity(work: Work) -> bool:
    return work.key is not None or work.meta.seq is not None


def _is_away(error: SQLAlchemyError) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated
