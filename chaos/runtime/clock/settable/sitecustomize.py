"""Imported by Python itself at the start of a server whose clock a fault sets; see `chaos/runtime/clock/__init__.py`."""

import os
import time
from collections.abc import Callable
from pathlib import Path

_FOLDER = Path(os.environ["SETTABLE_CLOCK"])
_OFFSET = _FOLDER / "offset"
_true_time, _true_time_ns = time.time, time.time_ns
_true_monotonic, _true_monotonic_ns = time.monotonic, time.monotonic_ns


def _offset_s() -> int:
    return int(_OFFSET.read_text(encoding="ascii"))


_AT_START_S = _offset_s()
_seen: set[tuple[str, int]] = set()


def _note(clock: str, offset_s: int) -> None:
    """Proof that somebody looked at that clock while it was so far off."""
    if (clock, offset_s) not in _seen:
        _seen.add((clock, offset_s))
        with (_FOLDER / "seen").open("a", encoding="ascii") as seen:
            seen.write(f"{clock} {offset_s}\n")


def _wall_s() -> float:
    offset_s = _offset_s()
    _note("wall", offset_s)
    return _true_time() + offset_s


def _monotonic_s() -> float:
    _note("monotonic", _AT_START_S)
    return _true_monotonic() + _AT_START_S


def _in_ns(clock_s: Callable[[], float]) -> Callable[[], int]:
    return lambda: int(clock_s() * 1_000_000_000)


time.time, time.time_ns = _wall_s, _in_ns(_wall_s)
time.monotonic, time.monotonic_ns = _monotonic_s, _in_ns(_monotonic_s)
