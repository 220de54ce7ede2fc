"""`python -m chaos soak` for half a minute: green on the product, red on a server that keeps or doubles too much."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from chaos.soak.run import Soak, SoakRecord, read
from chaos.soak.table import render, troubles
from chaos.soak.verdict import Trend
from chaos.soak.world import World
from tests.hard.planted import command
from tests.support.seed import SEED

MINUTES = 0.4
TRIES_MAX = 5
BUGGY = {
    "memory-kept": (command("memory-kept"), "resident memory is not flat"),
    "no-dedup": ([sys.executable, "-m", "tests.bugs.serve", "no-dedup"], r"has ([2-9]|\d\d+) effects"),
}


def _troubles(folder: Path, words: list[str], pause_s: float, seed: int = SEED) -> list[str]:
    record = SoakRecord("now", MINUTES, seed, "sqlite", 40.0, pause_s)
    with World(folder, "sqlite", Soak.clients(), words) as world:
        soak = Soak(world, record, folder, print)
        soak.run(threading.Event())
    soak.write_record()
    record, samples, faults = read(folder)
    print(render(record, samples, faults))
    return troubles(record, samples, faults)


@pytest.mark.long
def test_a_short_soak(tmp_path: Path) -> None:
    """Nothing is lost, nothing is doubled, nothing grows."""
    assert _troubles(tmp_path, [], 2.0) == []


@pytest.mark.long
@pytest.mark.parametrize("name", BUGGY)
def test_a_planted_bug_is_caught(name: str, tmp_path: Path) -> None:
    """And by what it does wrong; in so short a time the faults may strike nothing that shows it, so there are tries."""
    words, finding = BUGGY[name]
    found: list[str] = []
    for attempt in range(TRIES_MAX):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        found += _troubles(folder, words, 0.5, SEED + attempt)
        if any(re.search(finding, trouble) for trouble in found):
            return
    pytest.fail(f"not caught in {TRIES_MAX} tries: {found}")


def _trend(values: Sequence[float], room: float | None = 0.0) -> Trend:
    return Trend("memory", "MiB", [(float(at), value) for at, value in enumerate(values)], room)


def test_what_grows_is_not_flat() -> None:
    """After warm-up, by more than 5 % from the second third to the last."""
    assert _trend([10, 50, 90, *[100] * 6]).is_flat
    assert _trend([100] * 6 + [105] * 3).is_flat
    assert not _trend([100] * 6 + [106] * 3).is_flat
    assert _trend([100] * 6 + [106] * 3, room=8).is_flat
    assert _trend([100] * 6 + [500] * 3, room=None).is_flat
    assert _trend([100] * 6 + [60] * 3).is_flat
    assert _trend(list(range(100, 190, 10))).per_hour == pytest.approx(36000)
