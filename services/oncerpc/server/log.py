"""The server's log: lines on stderr, so that stdout carries only the ready line."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import NoReturn

__all__ = ["JsonLines", "StateLog", "end_server", "log", "set_up_logging"]

log = logging.getLogger("oncerpc")


def set_up_logging(*, as_json: bool = False) -> None:
    """From here on, log lines go to stderr; `as_json`: each is one JSON object."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if as_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


class JsonLines(logging.Formatter):
    """time (UTC), level, logger, message; `exception` where there is one; and what a record carries in `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


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
