"""The server's log: lines on stderr, so that stdout carries only the ready line."""

from __future__ import annotations

import logging
import sys

__all__ = ["log", "set_up_logging"]

log = logging.getLogger("oncekv.server")


def set_up_logging() -> None:
    """From here on, log lines go to stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
