"""The lease clock of a database that any number of processes share, none of which calls regularly.

    once_meta.clock_ms   how much time had counted when it was last saved
    once_meta.saved_ms   when that was, by the database's own clock

Since then all time counts in which the process that asks was up, which it knows of itself alone: time in which no
process was up counts for nobody, and all processes that were up when it was saved agree. So a process saves it with the
first session that it is asked about, and later every half second at most.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from oncerpc.server.leases import SAVE_BUSY_MS, LeaseClock
from oncerpc.server.sql.records import SqlStatements
from oncerpc.server.sql.transaction import Transaction

__all__ = ["DatabaseClock"]


class _Seen(NamedTuple):
    """What stood in the database, and what time it was there."""

    clock_ms: int
    saved_ms: int
    now_ms: int


class DatabaseClock(LeaseClock):
    """Safe for threads."""

    def __init__(self, statements: SqlStatements, tx: Transaction) -> None:
        super().__init__(time.monotonic, 0)
        self._sql = statements
        self._guard = threading.Lock()
        self._seen = self._read(tx)
        self._started_ms = self._seen.now_ms
        self._keep(self._seen)

    def now_ms(self) -> int:
        """As far as this process knows."""
        with self._guard:
            return int(self._base_ms + (time.monotonic() - self._base_s) * 1000)

    def look(self, tx: Transaction) -> int:
        """What time it is for all processes."""
        return self._keep(self._read(tx))

    def is_to_be_saved(self) -> bool:
        """Whether the others do not know yet what this one has counted."""
        with self._guard:
            seen, base_ms = self._seen, self._base_ms
        return seen.saved_ms < self._started_ms or base_ms - seen.clock_ms >= SAVE_BUSY_MS

    def save(self, tx: Transaction) -> None:
        """Unless another process has saved it meanwhile."""
        seen = self._read(tx)
        now_ms = self._count(seen)
        tx.run(self._sql.save_clock, (now_ms, seen.now_ms, seen.clock_ms, seen.saved_ms))
        self._keep(_Seen(now_ms, seen.now_ms, seen.now_ms))

    def _read(self, tx: Transaction) -> _Seen:
        (row,) = tx.rows(self._sql.clock)
        return _Seen(int(row[0]), int(row[1]), int(row[2]))

    def _count(self, seen: _Seen) -> int:
        return seen.clock_ms + max(0, seen.now_ms - max(seen.saved_ms, self._started_ms))

    def _keep(self, seen: _Seen) -> int:
        counted_ms = self._count(seen)
        with self._guard:
            self._seen, self._base_ms, self._base_s = seen, counted_ms, time.monotonic()
        return counted_ms
