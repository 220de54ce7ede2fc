"""PostgreSQL (step 10): one database for any number of servers; a server may die for good and another one goes on.

Each group is one transaction of READ COMMITTED that locks what it reads (`postgresql_writer`); its mark tells what
became of a commit without an answer (`postgresql_group`); a heartbeat keeps the lease clock and knows whether the
database is there (`postgresql_heartbeat`). Nothing of the store is kept between two groups, since others write it too.

Guarantee: as durable as the database's own commit, a synchronous standby included. Limit: reads are answered by the
host to which the URL leads, so a primary that was replaced and does not know it must not be reachable.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import psycopg

from oncekv.server.config import StartupError
from oncekv.server.engine.storage.base import StoreConflict, StoreRefused
from oncekv.server.engine.storage.postgresql_connection import Link, Watch
from oncekv.server.engine.storage.postgresql_errors import OUTCOME_UNKNOWN
from oncekv.server.engine.storage.postgresql_group import (
    FORGET_MARKS,
    FORGET_OLD_MARKS,
    Mark,
    Marks,
    was_committed,
)
from oncekv.server.engine.storage.postgresql_heartbeat import BOOT, Heartbeat
from oncekv.server.engine.storage.postgresql_queries import PostgresqlView
from oncekv.server.engine.storage.postgresql_setup import prepare
from oncekv.server.engine.storage.postgresql_url import connection_string
from oncekv.server.engine.storage.postgresql_writer import WRITE_MAX_S, PostgresqlWriter

__all__ = ["PostgresqlStore", "check_location", "open_store"]

READERS_MAX = 4
SESSION_BLOCK = 1000
COUNT_SHARDS = 16
BOOT_MAX_S = 10.0
ROLLBACK_MAX_S = 1.0


def check_location(location: str) -> None:
    """Raises UsageError when this names no database; nobody connects."""
    connection_string(location)


def open_store(location: str) -> PostgresqlStore:
    """`location` is what follows `postgresql://`. Raises StartupError, and leaves no half of a schema behind."""
    store = PostgresqlStore(connection_string(location))
    try:
        store.prepare()
    except BaseException:
        store.close()
        raise
    return store


class PostgresqlStore:
    """The store in one PostgreSQL database."""

    name = "postgresql"
    group_ops_max: int | None = None
    clock_pace_ms: int | None = None
    limits: Mapping[str, int] = MappingProxyType({})

    def __init__(self, conninfo: str) -> None:
        """Connects when it is first asked for something."""
        self._conninfo = conninfo
        self._watch = Watch()
        self._readers: list[Link] = []
        self._readers_free = threading.Semaphore(READERS_MAX)
        self._writer: Link | None = None
        self._marks: Marks | None = None
        self._session_numbers = iter(range(0))
        self._heartbeat = Heartbeat(self._connect)

    def prepare(self) -> None:
        """Make the tables, or see that they fit. Raises StartupError."""
        with self._for_start() as link:
            prepare(link)

    def boot(self) -> int:
        """Count one more start on this store; the new count. Raises StartupError."""
        with self._for_start() as link:
            try:
                with link.within(BOOT_MAX_S):
                    ((boot,),) = link.ask(BOOT)
                    link.ask(FORGET_OLD_MARKS)
            except (psycopg.Error, ValueError) as error:
                raise StartupError(f"cannot write the store: {link.reason(error)}") from None
        return int(boot)

    @contextlib.contextmanager
    def read(self) -> Iterator[PostgresqlView]:
        """One of a bounded number of read connections, with a snapshot of what is committed."""
        with self._readers_free:
            link = self._reader()
            view = PostgresqlView(link)
            try:
                try:
                    yield view
                finally:
                    view.end()
            except StoreConflict as error:  # of a read there is nothing to run again but the call
                raise StoreRefused(str(error)) from error
            finally:
                if _is_idle(link) and not link.was_refused:
                    self._readers.append(link)
                else:
                    link.close()

    @contextlib.contextmanager
    def write(self) -> Iterator[PostgresqlWriter]:
        """One group's transaction; commits at the end, rolls back on any exception."""
        link, marks = self._begin()
        writer = PostgresqlWriter(link, marks.new(), self._new_session_number, marks.writer % COUNT_SHARDS)
        try:
            yield writer
            self._commit(link, marks, writer)
        except BaseException:
            self._roll_back(link)
            raise

    def check(self, *, writes: bool) -> None:  # noqa: ARG002 each beat would write, if it is due
        """See whether the database answers and takes writes, as the heartbeat knows it."""
        self._heartbeat.check()

    def close(self) -> None:
        """Close all connections; end the threads."""
        self._heartbeat.close()
        self._drop_writer()
        while self._readers:
            self._readers.pop().close()
        self._watch.close()

    def _commit(self, link: Link, marks: Marks, writer: PostgresqlWriter) -> None:
        """The changes and COMMIT by one way; afterwards it is known what became of them, or StoreFailed is raised."""
        if not writer.has_begun:
            return
        if writer.changes is None and not writer.has_replayed:
            writer.end()
            return
        # Replays alone are committed too: the mark waits for a standby that may lack what they are about to tell.
        forget = marks.to_forget()
        about_marks = [(FORGET_MARKS, (marks.writer, forget))] if forget else []
        link.warnings.clear()
        try:
            with link.within(WRITE_MAX_S):
                *_, committed = link.ask_all([*writer.statements(), *about_marks, ("COMMIT", ())])
        except psycopg.Error as error:
            if not link.is_lost and error.sqlstate != OUTCOME_UNKNOWN:
                raise link.translated(error) from error
            self._look_up(writer.mark, marks, link.reason(error))
        else:
            if committed.tag != b"COMMIT":
                raise StoreConflict(f"the transaction ended with {committed.tag.decode()}")
            if link.warnings:  # the wait for a standby was cancelled
                self._look_up(writer.mark, marks, link.warnings[0])
        marks.forgotten(forget)
        marks.settle(writer.mark)

    def _look_up(self, mark: Mark, marks: Marks, reason: str) -> None:
        """Returns if the group was committed. Raises StoreConflict if it was not, StoreFailed if nobody can tell."""
        self._drop_writer()
        if not was_committed(mark, marks, self._connect):
            raise StoreConflict(f"the commit was lost: {reason}")

    def _begin(self) -> tuple[Link, Marks]:
        """The writer's connection, and the marks of this process. Raises StoreRefused."""
        self._heartbeat.start()
        if self._writer is not None and self._writer.is_stale:
            self._drop_writer()
        if self._writer is None:
            self._writer = self._connect()
        link = self._writer
        if self._marks is None:
            try:
                with link.within(WRITE_MAX_S):
                    ((number,),) = link.ask("SELECT nextval('oncekv_writer')")
            except psycopg.Error as error:
                self._drop_writer()
                raise StoreRefused(link.reason(error)) from error
            self._marks = Marks(number)
        return link, self._marks

    def _roll_back(self, link: Link) -> None:
        """A connection on which something was refused goes too: what was to be prepared behind it was skipped."""
        if link.connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
            with contextlib.suppress(psycopg.Error), link.within(ROLLBACK_MAX_S):
                link.ask("ROLLBACK")
        if not _is_idle(link) or link.was_refused:
            self._drop_writer()

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _new_session_number(self, link: Link) -> int:
        number = next(self._session_numbers, None)
        if number is None:
            try:
                with link.within(WRITE_MAX_S):
                    ((block,),) = link.ask("SELECT nextval('oncekv_session_block')")
            except psycopg.Error as error:
                raise link.translated(error) from error
            self._session_numbers = iter(range(block * SESSION_BLOCK, (block + 1) * SESSION_BLOCK))
            number = next(self._session_numbers)
        return number

    def _reader(self) -> Link:
        while self._readers:
            with contextlib.suppress(IndexError):
                link = self._readers.pop()
                if not link.is_stale:
                    return link
                link.close()
        return self._connect()

    def _connect(self) -> Link:
        return Link(self._conninfo, self._watch)

    @contextlib.contextmanager
    def _for_start(self) -> Iterator[Link]:
        try:
            link = self._connect()
        except StoreRefused as error:
            raise StartupError(f"cannot open the store: {error}") from None
        try:
            yield link
        finally:
            link.close()


def _is_idle(link: Link) -> bool:
    """Whether it may be used again: in no transaction, and not lost."""
    return link.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
