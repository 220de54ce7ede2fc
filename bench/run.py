"""What every measurement is handed: how much to do, where to write, and where stores may stand."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.book import Book, Part
from bench.effort import Effort

__all__ = ["Run"]


@dataclass
class Run:
    """One run of the benchmark."""

    effort: Effort
    book: Book
    data: Path
    """The stores of the run, all on one file system: a store in memory would sync for nothing."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A new folder for a store; it is gone with the block, since a million keys should not stay behind."""
        folder = self.data / f"{next(self._numbers):03d}-{name}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def part(self, part: Part) -> Part:
        """Begin a measurement."""
        return self.book.part(part)

    def add(self, part: Part, row: str, column: str, value: float, faults: int = 0) -> None:
        """One more round, and what was measured so far is on the disk."""
        part.add(row, column, value, faults)
        self.book.save()
