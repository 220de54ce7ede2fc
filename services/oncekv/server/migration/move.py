"""The move itself: in batches, each with its progress; then both sides are compared; then the target is opened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from oncekv.server.migration.items import KINDS, Item, Tally, batches, id_of
from oncekv.server.migration.sides import MigrationFailed, MigrationRefused, Origin, Progress, Side

__all__ = ["Moved", "Report", "move"]

REPORT_S = 1.0

Report = Callable[[str], None]
"""Takes a line for whoever waits."""


@dataclass(frozen=True)
class Moved:
    """A move that came to its end. content: counts and checksums, the same on both sides."""

    origin: Origin
    content: dict[str, dict[str, Any]]
    was_resumed: bool


def move(source: Side, target: Side, report: Report) -> Moved:
    """From the beginning, or from where an earlier one was cut off. Raises MigrationRefused or MigrationFailed."""
    origin = source.origin()
    begun = target.progress()
    if begun is None:
        progress = Progress(origin)
        target.begin(progress)
        report(f"from {source.where} to {target.where}")
    else:
        _check_same(begun.origin, origin)
        progress = begun
        report(f"going on from {source.where} to {target.where}, where {sum(begun.counts.values())} items are")
    progress = _copy(source, target, progress, report)
    content = _verify(source, target, origin, report)
    target.finish(progress)
    return Moved(origin, content, begun is not None)


def _check_same(begun: Origin, found: Origin) -> None:
    if begun.where != found.where:
        raise MigrationRefused(f"the target holds half of another move, from {begun.where}; go on with that one")
    if begun != found:
        raise MigrationRefused(
            "the source was served since this move into the target was begun; empty the target, and begin anew"
        )


def _copy(source: Side, target: Side, progress: Progress, report: Report) -> Progress:
    reporter = _Reporter(report)
    for kind in KINDS[KINDS.index(progress.kind) :]:
        after = progress.after if kind == progress.kind else None
        for batch in batches(source.items(kind, after), target.batch_items, target.batch_bytes):
            before, progress = progress, progress.moved(kind, id_of(kind, batch[-1]), len(batch))
            target.put(kind, batch, before, progress)
            reporter.say(f"{kind}: {progress.counts[kind]} moved")
        report(f"{kind}: {progress.counts.get(kind, 0)} moved, all of them")
    return progress


def _verify(source: Side, target: Side, origin: Origin, report: Report) -> dict[str, dict[str, Any]]:
    """Both sides are read once more, as they are on their disks."""
    mine, theirs = (_tally(side, report, name) for side, name in ((source, "source"), (target, "target")))
    if source.state() != origin.state:
        raise MigrationFailed("a server has run on the source meanwhile; end it, empty the target, and begin anew")
    if different := mine.differences(theirs):
        raise MigrationFailed(
            f"source and target are not the same: {', '.join(different)}; empty the target, and begin anew"
        )
    return mine.result()


def _tally(side: Side, report: Report, name: str) -> Tally:
    tally = Tally()
    reporter = _Reporter(report)
    for kind, item in _all(side):
        tally.add(kind, item)
        reporter.say(f"verifying the {name}: {tally.counted} read")
    report(f"verifying the {name}: {tally.counted} read, all of them")
    return tally


def _all(side: Side) -> Iterator[tuple[str, Item]]:
    for kind in KINDS:
        for item in side.items(kind):
            yield kind, item


class _Reporter:
    """A line a second at most."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._next_s = time.monotonic() + REPORT_S

    def say(self, line: str) -> None:
        if time.monotonic() >= self._next_s:
            self._report(line)
            self._next_s = time.monotonic() + REPORT_S
