"""What every measurement is handed: how much to do, where to write, how long it may take, where stores may be."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.effort import BenchEffort
from bench.progress import progress
from bench.report.result_set import Part, ResultSet

__all__ = ["Run"]

ROUNDS_MIN = 2


@dataclass
class Run:
    """One run of the benchmark."""

    effort: BenchEffort
    result_set: ResultSet
    data: Path
    """The stores of the run, all on one file system: a store in memory would sync for nothing."""
    end_s: float = float("inf")
    """When the measurement under way should be over, on the monotonic clock."""
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

    def rounds(self, count: int, what: str) -> Iterator[int]:
        """So many rounds, or as many as the time allows: a slow machine gets fewer, not a longer run."""
        for number in range(count):
            if number >= ROUNDS_MIN and time.monotonic() > self.end_s:
                cut = f"{what}: cut short after {number} of {count} rounds, the time was over"
                self.result_set.facts.setdefault("cut_short", []).append(cut)
                progress(cut)
                return
            progress(f"{what}, round {number + 1} of {count}")
            yield number

    def part(self, part: Part) -> Part:
        """Begin a measurement."""
        return self.result_set.part(part)

    def add(self, part: Part, row: str, column: str, value: float, faults: int = 0) -> None:
        """One more round, and what was measured so far is on the disk."""
        part.add(row, column, value, faults)
        self.result_set.save()
