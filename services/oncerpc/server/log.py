"""The server's log: lines on stderr, so that stdout carries only the ready line."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

__all__ = ["StateLog", "end_server", "log", "set_up_logging"]

log = logging.getLogger("oncerpc")


def set_up_logging() -> None:
    """From here on, log lines go to stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def end_server(why: str) -> NoReturn:
    """For an exception after which calls would wait for ever. Crashing is safe; hanging is not."""
    log.critical("%s; the server ends", why, exc_info=True)  # noqa: LOG014 called from a handler  # noqa: LOG014 its callers handle one
    os._exit(1)


class StateLog:
    """Says what is wrong when it begins and what is well when it is over, not once for each call that meets it."""

    def __init__(self, over: str) -> None:
        self._over = over
        self._said = ""

    def begins(self, what: str) -> None:
        """It is so, or still so."""
        if what != self._said:
            self._said = what
            log.error("%s", what)

    def ends(self) -> None:
        """Nothing is wrong, or no more."""
        if self._said:
            self._said = ""
            log.info("%s", self._over)
