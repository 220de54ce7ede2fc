"""Forgetting what has expired, in bounded portions, so that no request waits long for it."""

from __future__ import annotations

import threading
import time

from oncerpc.server.log import log
from oncerpc.server.sessions import Sessions
from oncerpc.server.sql.bounded_retry import again
from oncerpc.server.sql.errors import one_line
from oncerpc.server.sql.executor import Executor

__all__ = ["Pruner"]

PORTION = 500
PAUSE_S = 60.0


class Pruner:
    """Prunes when asked, and in passing once a minute in each process. Only what has expired is ever deleted."""

    def __init__(self, executor: Executor, sessions: Sessions) -> None:
        self._executor = executor
        self._sessions = sessions
        self._due_s = time.monotonic() + PAUSE_S
        self._guard = threading.Lock()

    def in_passing(self) -> None:
        """After a request: one portion, if none was pruned for a minute. Never raises."""
        if time.monotonic() < self._due_s or not self._guard.acquire(blocking=False):
            return
        try:
            self._due_s = time.monotonic() + PAUSE_S
            self.portion()
        except Exception as error:
            log.warning("what has expired could not be pruned: %s", one_line(error))
        finally:
            self._guard.release()

    def portion(self) -> int:
        """One portion of keys and one of sessions; how many went. Raises StoreRefused, StillRunning."""
        return again(self._portion)

    def _portion(self) -> int:
        with self._executor.untied() as (tx, records, times):
            keys = tx.run(self._executor.statements.prune_keys, (times.wall_ms, PORTION))
            before = records.ended
            self._sessions.sweep(records, times.lease_ms)
            tx.finish()
            return keys + records.ended - before
