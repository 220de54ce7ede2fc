"""A connection to PostgreSQL whose every wait has an end (step 10).

libpq waits for an answer as long as the connection seems to live, and through a proxy or a paused host it seems to live
for ever. So whoever asks says how long it may take, and `Watch`, one thread for a store, cuts what is late: the waiting
thread then gets an error. The server, for its part, is told to give up locks that it waits for, and transactions whose
client has fallen silent, so that a server of ours that stands still holds nobody up for long.

Limit: to connect takes up to CONNECT_TIMEOUT_S for each host, which nothing cuts short.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from oncekv.server.engine.storage.base import StoreRefused
from oncekv.server.engine.storage.postgresql_errors import explain, translated
from oncekv.server.engine.storage.postgresql_pipeline import Answer, Pipeline, Question
from oncekv.server.engine.storage.postgresql_url import scrub

__all__ = ["Link", "Watch"]

logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # it says again what it raises, and to where it was connected

LOCK_TIMEOUT_MS = 6000
IDLE_TRANSACTION_MS = 4000  # below the lock timeout: whoever waits for a server that stands still, gets its turn
LOOK_S = 0.1

_SETTINGS = f"""
SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', false),
    set_config('idle_in_transaction_session_timeout', '{IDLE_TRANSACTION_MS}', false),
    set_config('default_transaction_isolation', 'read committed', false),
    CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
        THEN set_config('synchronous_commit', 'on', false) END
"""
# What an engine that speaks PostgreSQL's protocol may not know, and need not. A plan that is made while a table is
# empty is kept after it has grown, so it may not scan it.
_WISHES = {
    "enable_seqscan": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}


class Watch:
    """Cuts the connections on which somebody has waited for too long; one thread, from the first one on."""

    def __init__(self) -> None:
        self._links: set[Link] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, link: Link) -> None:
        with self._lock:
            self._links.add(link)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="postgresql-watch", daemon=True)
                self._thread.start()

    def remove(self, link: Link) -> None:
        with self._lock:
            self._links.discard(link)

    def close(self) -> None:
        """Watch no longer."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(LOOK_S):
            with self._lock:
                links = list(self._links)
            for link in links:
                link.cut_if_late()


class Link:
    """One connection; each of its statements commits, unless it stands in a transaction that somebody has begun."""

    def __init__(self, conninfo: str, watch: Watch) -> None:
        """Connects. Raises StoreRefused: the database is not there, or not one that can be written."""
        self._conninfo = conninfo
        self._until_s = float("inf")
        self._watch = watch
        self._pipeline: Pipeline | None = None
        self.was_refused = False
        """A statement on it has failed; after that it is used for nothing new."""
        self.warnings: list[str] = []
        """What the database has warned of since somebody cleared it."""
        try:
            self.connection = psycopg.connect(conninfo, autocommit=True)
        except psycopg.Error as error:
            raise StoreRefused(explain(error, self.reason(error))) from None
        # A descriptor of our own: that of libpq may be closed, and its number taken, when somebody is late.
        self._socket = socket.socket(fileno=os.dup(self.connection.fileno()))
        watch.add(self)
        try:
            self._settle_in()
        except psycopg.Error as error:
            self.close()
            raise StoreRefused(self.reason(error)) from None
        except BaseException:
            self.close()
            raise

    def ask_all(self, questions: Sequence[Question]) -> list[Answer]:
        """By one way there and back. Raises psycopg.Error."""
        try:
            self._pipeline = self._pipeline or Pipeline(self.connection.pgconn)
            return self._pipeline.ask(questions)
        except psycopg.Error:
            self.was_refused = True
            raise

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement. Raises psycopg.Error."""
        return self.ask_all([(sql, values)])[0].rows

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Whatever is asked meanwhile is answered by then, or the connection is lost."""
        self._until_s = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until_s = float("inf")

    @property
    def is_lost(self) -> bool:
        return self.connection.closed

    @property
    def is_stale(self) -> bool:
        """Whether it was cut while nobody used it: then there is something to read, the end."""
        if self.connection.closed:
            return True
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable)

    def reason(self, error: BaseException) -> str:
        """What it says, fit to be logged."""
        return scrub(str(error), self._conninfo) or type(error).__name__

    def translated(self, error: psycopg.Error) -> Exception:
        """What it means for a transaction that was not yet told to commit."""
        return translated(error, self.reason(error), is_lost=self.is_lost)

    def cut_if_late(self) -> None:
        if time.monotonic() > self._until_s:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._watch.remove(self)
        self._socket.close()
        self.connection.close()

    def _settle_in(self) -> None:
        with self.within(3.0):
            self.connection.add_notice_handler(self._noticed)
            if self.connection.info.parameter_status("in_hot_standby") == "on":
                raise StoreRefused("it is a standby, which cannot be written; name its primary, or all of its hosts")
            self.connection.execute(_SETTINGS)
            try:
                self.connection.execute("SELECT " + ", ".join(_wish(*wish) for wish in _WISHES.items()))
            except psycopg.Error:
                for wish in _WISHES.items():
                    with contextlib.suppress(psycopg.Error):
                        self.connection.execute(f"SELECT {_wish(*wish)}")

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warnings.append(" ".join((notice.message_primary or "").split()))


def _wish(name: str, value: str) -> str:
    return f"set_config('{name}', '{value}', false)"
