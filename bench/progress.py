"""Progress, one line at a time, on stderr: stdout belongs to the table."""

from __future__ import annotations

import sys
import time

__all__ = ["progress"]

_BEGAN_S = time.monotonic()


def progress(text: str) -> None:
    """One line, with the seconds since the program began."""
    sys.stderr.write(f"bench {time.monotonic() - _BEGAN_S:4.0f} s  {text}\n")
    sys.stderr.flush()
