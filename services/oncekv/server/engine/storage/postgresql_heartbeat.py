"""The heartbeat of one process (step 10): several times a second it keeps the store's lease clock going, and so finds
out whether the database answers and can be written.

    oncekv_clock.clock_ms, saved_ms    what the clock had counted when the database's own clock said `saved_ms`

Whichever process of whichever server is the first to find `saved_ms` old moves both on; the others see it and write
nothing. Everybody reads the same time: `clock_ms` and what has passed since. It stands still while nobody saves it, and
a jump of the database's own clock counts for a second at most. While the database is away, servers go on to count, and
the first one that comes back says how long it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg

from oncekv.server.engine.storage.base import StoreRefused
from oncekv.server.engine.storage.postgresql_connection import Link
from oncekv.server.engine.storage.postgresql_queries import COUNTED_MAX_MS, COUNTERS, NOW_MS
from oncerpc.server.leases import LeaseClock

__all__ = ["BOOT", "Heartbeat"]

BEAT_S = 0.25
SAVE_AFTER_MS = 200
SILENT_MAX_S = 1.5
ANSWER_MAX_S = 1.5
FIRST_MAX_S = 2.5
RUNNING_MAX_MS = 500
"""A clock that was saved so short a time ago is kept going by another server: what has passed since counts."""

_SAVE = f"""
UPDATE oncekv_clock
SET clock_ms = GREATEST(clock_ms + LEAST(GREATEST({NOW_MS} - saved_ms, 0), {COUNTED_MAX_MS})::bigint, %b),
    saved_ms = {NOW_MS}
WHERE {NOW_MS} - saved_ms NOT BETWEEN 0 AND {SAVE_AFTER_MS - 1}
"""  # noqa: S608 constants of ours
BOOT = f"""
UPDATE oncekv_clock
SET boot = boot + 1, saved_ms = {NOW_MS},
    clock_ms = clock_ms
        + CASE WHEN {NOW_MS} - saved_ms BETWEEN 0 AND {RUNNING_MAX_MS} THEN {NOW_MS} - saved_ms ELSE 0 END
RETURNING boot
"""  # noqa: S608 constants of ours
"""One more start: the time since the clock was saved counts only if another server is running."""


class Heartbeat:
    """One thread with a connection of its own, from the first question on."""

    def __init__(self, connect: Callable[[], Link]) -> None:
        self._connect = connect
        self._link: Link | None = None
        self._clock = LeaseClock(time.monotonic, 0)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._has_beaten = threading.Event()
        self._answered_s = 0.0
        self._fault = ""

    def start(self) -> None:
        """If it does not run yet."""
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._work, name="postgresql-heartbeat", daemon=True)
                self._thread.start()

    def check(self) -> None:
        """Raises StoreRefused unless the database has just taken a write, or would have. Waits for the first beat."""
        self.start()
        self._has_beaten.wait(FIRST_MAX_S)
        if self._fault:
            raise StoreRefused(self._fault)
        if time.monotonic() - self._answered_s > SILENT_MAX_S:
            raise StoreRefused("the database does not answer")

    def close(self) -> None:
        """Beat no longer."""
        self._ended.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()
        if self._link is not None:
            self._link.close()

    def _work(self) -> None:
        while not self._ended.is_set():
            self._beat()
            self._has_beaten.set()
            self._ended.wait(BEAT_S)

    def _beat(self) -> None:
        own_ms = self._clock.now_ms()
        try:
            link = self._link = self._link or self._connect()
            with link.within(ANSWER_MAX_S):
                link.ask(_SAVE, (own_ms,))
                ((clock_ms, *_),) = link.ask(COUNTERS)
            self._clock.catch_up(clock_ms)
            self._answered_s, self._fault = time.monotonic(), ""
        except StoreRefused as error:
            self._fault = str(error)
        except psycopg.Error as error:
            self._fault = self._link.reason(error) if self._link else type(error).__name__
            self._drop()
        except Exception as error:
            self._fault = f"the database answers with {type(error).__name__}"
            self._drop()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None
