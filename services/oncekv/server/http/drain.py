"""The end of a server: calls that run get their replies, and nothing else is waited for.

The HTTP server waits for its connections, and a client that fell silent in the middle of a request would hold it up for
ever. So, once the signal has come, this counts calls instead: when none has run for `QUIET_S` and the HTTP server still
waits, it is left behind. A drain has a bound too: a call that never ends does not keep the server.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from oncerpc.server.log import log

__all__ = ["Drain"]

DRAIN_MAX_S = 60.0
QUIET_S = 3.0  # for a reply to leave, or most of a large one, once its call is done
POLL_S = 0.02


class Drain:
    """Ends the server once, by whichever way is ready first."""

    def __init__(self, calls_running: Callable[[], int], close: Callable[[], None]) -> None:
        self._calls_running = calls_running
        self._close = close
        self._ending = threading.Lock()
        self._begun = threading.Event()

    def begin(self) -> None:
        """The signal has come; harmless a second time."""
        if not self._begun.is_set():
            self._begun.set()
            threading.Thread(target=self._watch, name="drain", daemon=True).start()

    def finish(self) -> int:
        """The HTTP server has ended by itself: close, and give the exit code."""
        if not self._ending.acquire(blocking=False):
            threading.Event().wait(DRAIN_MAX_S)  # the other way is ready first, and ends the process
        self._close()
        return 0

    def _watch(self) -> None:
        """Close and end the process when the HTTP server waits for silent connections alone."""
        end_s = time.monotonic() + DRAIN_MAX_S
        quiet_since_s = time.monotonic()
        while time.monotonic() < end_s:
            time.sleep(POLL_S)
            if self._calls_running():
                quiet_since_s = time.monotonic()
            elif time.monotonic() - quiet_since_s >= QUIET_S:
                if self._ending.acquire(blocking=False):
                    self._close()
                    os._exit(0)
                return
        log.error("calls still ran %.0f s after the signal; ending without them", DRAIN_MAX_S)
        os._exit(1)
