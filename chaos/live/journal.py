"""The journal: everything that happens, one event after the other; what every page shows is made of these alone.

Place: under all of the live page. Guarantee: events have the numbers 1, 2, 3 …, and whoever reads after number N gets
all that follow, or is told that some of them are gone. Bound: the last EVENTS_MAX in memory, and of what was dropped
the event that each thing's state stands in, so that the whole is still a journal; two files of FILE_BYTES_MAX.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

__all__ = ["EVENTS_MAX", "FORMAT", "Journal", "Reset", "subject_of"]

FORMAT = "oncekv-live/1"
EVENTS_MAX = 200_000
FILE_BYTES_MAX = 64 * 1024 * 1024
BATCH_MAX = 500

_SUBJECTS = {"link": ("link",), "server": ("server",), "record": ("server", "row"), "totals": (), "semantics": (),
             "pace": (), "workload": (), "scene": ()}  # fmt: skip


_OF_THE_WORLD = frozenset(
    {"call", "message", "message-end", "told", "link", "server", "record", "effects", "totals", "semantics", "step"}
)


class Reset(Exception):
    """The events after that number are gone, or were never of this run."""


class _Line(NamedTuple):
    n: int
    text: bytes
    subject: tuple[str, ...] | None
    is_end: bool
    is_world: bool


def subject_of(event: dict[str, Any]) -> tuple[str, ...] | None:
    """What an event tells the state of: the last one of each subject is all that one needs to know of it."""
    names = _SUBJECTS.get(event["type"])
    return None if names is None else (event["type"], *(str(event.get(name, "")) for name in names))


class Journal:
    """Safe for threads."""

    def __init__(self, file: Path | None = None, events_max: int = EVENTS_MAX) -> None:
        self.run = secrets.token_hex(8)
        self._began_s = time.monotonic()
        self._events_max = events_max
        self._world = b""
        self._standing: dict[tuple[str, ...], _Line] = {}
        self._lines: list[_Line] = []
        self._first = 1
        self._changed = threading.Condition()
        self._is_closed = False
        self.is_muted = False
        """While a recording is played: what the live world does is not told."""
        self._path = file
        self._file: FileIO | None = file.open("wb", buffering=0) if file else None
        self._file_bytes = 0

    @property
    def last(self) -> int:
        """The number of the last event."""
        with self._changed:
            return self._last()

    def now_ms(self) -> float:
        """Since the run began."""
        return round((time.monotonic() - self._began_s) * 1000, 1)

    def add(self, kind: str, /, **facts: Any) -> int:
        """One event; its number."""
        with self._changed:
            if self.is_muted and kind in _OF_THE_WORLD:
                return self._last()
            n = self._last() + 1
            event = {"n": n, "t": self.now_ms(), "type": kind, **facts}
            self._keep(event)
            return n

    def take(self, event: dict[str, Any]) -> None:
        """An event of an opened file, with the number that it has from here on."""
        with self._changed:
            self._keep({**event, "n": self._last() + 1})

    def after(self, n: int, timeout_s: float) -> list[tuple[int, bytes]]:
        """The next events after number n, up to BATCH_MAX of them; none when none came in time. Raises Reset."""
        with self._changed:
            if n > self._last():
                raise Reset()
            self._changed.wait_for(lambda: self._is_closed or n < self._last(), timeout_s)
            if n and n < self._first - 1:
                raise Reset()
            start = self._place_after(n)
            if n == 0 and self._first > 1:
                raise Reset()
            return [(line.n, line.text) for line in self._lines[start : start + BATCH_MAX]]

    def events_after(self, n: int) -> list[dict[str, Any]]:
        """What followed number n, as far as it is kept."""
        with self._changed:
            return [msgspec.json.decode(line.text) for line in self._lines[self._place_after(n) :]]

    def wait_after(self, n: int, timeout_s: float) -> None:
        """Until something has followed number n, or `wake`, or the time is over."""
        with self._changed:
            if self._last() <= n and not self._is_closed:
                self._changed.wait(timeout_s)

    def wake(self) -> None:
        """Whoever waits looks again."""
        with self._changed:
            self._changed.notify_all()

    def wait_quiet(self, n: int, quiet_s: float, timeout_s: float) -> None:
        """Until something has followed number n and then nothing for `quiet_s`, or the time is over."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            seen = n
            while (left_s := end_s - time.monotonic()) > 0 and not self._is_closed:
                last = self._last()
                if last == seen and not self._changed.wait(min(left_s, quiet_s)) and last > n:
                    return
                seen = last

    def lines(self) -> Iterator[bytes]:
        """The whole as JSON Lines: the world first, then what stands of what was dropped, then all that is kept."""
        with self._changed:
            lines = [line.text for line in sorted(self._standing.values())] + [line.text for line in self._lines]
            if self._first > 1:
                lines.insert(0, self._world)
        for line in lines:
            yield line + b"\n"

    def mute(self) -> None:
        """From now on only what is taken, and what is said of the page itself."""
        self.is_muted = True

    def unmute(self) -> None:
        self.is_muted = False

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        """Wake all who wait; nothing is added any more."""
        with self._changed:
            self._is_closed = True
            if self._file:
                self._file.close()
                self._file = None
            self._changed.notify_all()

    def _last(self) -> int:
        return self._first + len(self._lines) - 1

    def _place_after(self, n: int) -> int:
        return max(0, n + 1 - self._first)

    def _keep(self, event: dict[str, Any]) -> None:
        if self._is_closed:
            return
        text = msgspec.json.encode(event)
        line = _Line(event["n"], text, subject_of(event), event.get("change") == "gone", event["type"] == "world")
        if line.is_world and line.n == 1:
            self._world = text
        self._lines.append(line)
        if len(self._lines) > self._events_max * 1.1:
            self._drop(len(self._lines) - self._events_max)
        self._write(text)
        self._changed.notify_all()

    def _drop(self, count: int) -> None:
        for line in self._lines[:count]:
            if line.is_world:
                self._world = line.text
                self._standing.clear()
            elif line.is_end and line.subject:
                self._standing.pop(line.subject, None)
            elif line.subject:
                self._standing[line.subject] = line
        del self._lines[:count]
        self._first += count

    def _write(self, text: bytes) -> None:
        if self._file is None or self._path is None:
            return
        try:
            if self._file_bytes > FILE_BYTES_MAX:
                self._file.close()
                self._path.replace(self._path.with_suffix(".before.jsonl"))
                self._file = self._path.open("wb", buffering=0)
                self._file_bytes = self._file.write(self._world + b"\n")
            self._file_bytes += self._file.write(text + b"\n")
        except OSError:  # a full disk ends the file, not the page
            self._file.close()
            self._file = None
