"""Readiness: whether the store is in its place, can be read, and can be written; what `/readyz` says.

It finds out when it is asked, so an idle server is right about its disk as well: by a write that changes nothing, at
most one in `PAUSE_S`, however many ask. Limit: of a disk it may be wrong for that long, and a store that somebody else
writes right now counts as one that can be written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from oncekv.server.engine.storage.base import Store, StoreFailed, StoreRefused
from oncerpc.server.log import StateLog, log
from oncerpc.server.rpc.components import read_counters

__all__ = ["Readiness"]

PAUSE_S = 1.0


class Readiness:
    """What one process knows of its store."""

    def __init__(self, store: Store, monotonic_s: Callable[[], float]) -> None:
        self._store = store
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._write_at_s = monotonic_s()
        self._failure = ""
        self._trouble = StateLog("the store is ready again")

    def fault(self) -> str:
        """Why the server is not ready; empty when it is."""
        fault = self._look()
        if fault:
            self._trouble.begins(f"not ready: {fault}")
        else:
            self._trouble.ends()
        return fault

    def _look(self) -> str:
        try:
            self._store.check(writes=False)
            read_counters(self._store)
            return self._write()
        except (StoreRefused, StoreFailed) as error:
            return str(error)
        except Exception:
            log.exception("the store does not answer")
            return "the store does not answer"

    def _write(self) -> str:
        """What the last write came to; a new one when that is old."""
        with self._lock:
            now_s = self._monotonic_s()
            if now_s >= self._write_at_s:
                self._write_at_s = now_s + PAUSE_S
                try:
                    self._store.check(writes=True)
                    self._failure = ""
                except StoreFailed as error:
                    self._failure = f"the store cannot be written: {error}"
            return self._failure
