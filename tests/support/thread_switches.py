"""An interpreter in a hurry: it changes threads a thousand times as often, and between any two steps of chosen files.

Left alone it changes them only where a function begins and where a loop turns, and a race on `n += 1` never shows.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import oncekv

__all__ = ["hasty_switching"]

SWITCH_S = 5e-6
SERVICES = Path(oncekv.__file__).parents[1]


@contextlib.contextmanager
def hasty_switching(*files: str) -> Iterator[None]:
    """For the threads that begin from here on. `files`: how the paths end whose every step may be the last in a row."""

    def trace(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        """Called before every step, and being a function, a place to change threads at."""
        if not frame.f_code.co_filename.endswith(files):
            return None
        frame.f_trace_opcodes = True
        return _step

    assert not (gone := [name for name in files if not any(SERVICES.rglob(name))]), f"renamed? nothing races in {gone}"
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    threading.settrace(trace)
    try:
        yield
    finally:
        threading.settrace(None)
        sys.setswitchinterval(usual_s)


def _step(_frame: FrameType, _event: str, _argument: object) -> Callable[..., Any]:
    return _step
