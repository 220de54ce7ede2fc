"""Tests in several processes (`-n`, pytest-xdist): what must stay together, what begins first, what was left out.

Tests of one group run in one process, one after the other; a test without a group runs wherever there is room. A group
is made where tests share what is dear to start, or what a machine has once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.alone import is_alone
from tests.support.seed import randomness

__all__ = ["arrange", "check", "count_left_out", "draw_long", "left_out", "take_over"]

CONTAINERS = (
    "test_containers", "test_containers_stores", "test_compose_up", "test_compose_bank", "test_compose_stores",
    "test_live_containers",
)  # fmt: skip
"""One engine, which is slow when two ask at once; and the images are built by the first."""
LONGEST_FIRST = (
    *CONTAINERS, "test_live", "test_live_tour", "test_live_page", "test_storm", "test_storms", "test_bank_storm",
    "test_store_scenarios", "test_bank_scenarios", "test_two_servers", "test_servers", "test_lost_database",
    "test_races", "test_durability", "test_bugs", "test_every_failure", "test_scenarios", "test_chaos_command",
    "test_pages", "test_simulated_network", "test_contrast", "test_clocks", "browser/test_report",
)  # fmt: skip
"""What begins last ends last: a long test at the end would leave the other processes idle."""
_LEFT_OUT = pytest.StashKey[int]()


def arrange(items: list[pytest.Item]) -> None:
    """Give each test its group, and put the longest first; else their order stays."""
    for item in items:
        group = None if item.get_closest_marker("xdist_group") else _group(item)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


def draw_long(config: pytest.Config, items: list[pytest.Item], one_in: int) -> None:
    """Of the long repetitions of each test function keep one in so many, at least one, drawn by the seed.

    In containers, where nothing runs beside and each takes half a minute, five times fewer.
    """
    repetitions: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("long"):
            repetitions[item.nodeid.partition("[")[0]].append(item)
    drawn: set[pytest.Item] = set()
    for function, its in repetitions.items():
        rarely = one_in * 5 if its[0].path.stem in CONTAINERS else one_in
        drawn.update(randomness(f"long {function}").sample(its, max(1, len(its) // rarely)))
    left = [item for its in repetitions.values() for item in its if item not in drawn]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def check(session: pytest.Session) -> None:
    """Refuse to run where pytest-xdist does not hear the groups: with pytest 9.2 it sends them apart in silence."""
    if session.config.getoption("loadgroup", False):
        grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
        apart = [item.nodeid for item in grouped if "@" not in item.nodeid]
        assert not apart, f"pytest-xdist sends {len(apart)} tests apart from their groups; take a pytest before 9.2"


def _group(item: pytest.Item) -> str | None:
    """Contract tests share the servers of a model; unit tests are too short to be sent one by one; what a file
    starts for all its tests, a database say, is started once.
    """
    if is_alone(item):
        return "alone"
    if item.path.stem in CONTAINERS:
        return "containers"
    if "contract" in item.path.parts:
        callspec = getattr(item, "callspec", None)
        model = callspec.params.get("model", "") if callspec else ""
        shared = "across-restarts" if "crossings" in getattr(item, "fixturenames", ()) else item.path.stem
        return f"{shared}-{model}".replace(" ", "")
    parts = set(item.path.parts)
    is_short = {"unit", "library", "stores"} & parts and item.path.stem not in LONGEST_FIRST
    return f"{item.path.parent.name}/{item.path.stem}" if is_short or "browser" in parts else None


def _rank(item: pytest.Item) -> int:
    if is_alone(item):
        return len(LONGEST_FIRST) + 1  # the others have little left to do
    names = (item.path.stem, f"{item.path.parent.name}/{item.path.stem}")
    return next((LONGEST_FIRST.index(name) for name in names if name in LONGEST_FIRST), len(LONGEST_FIRST))


def count_left_out(items: Sequence[pytest.Item]) -> None:
    """Tests that `-m` left out. A worker of pytest-xdist counts for all: each collects everything."""
    long = sum(1 for item in items if item.get_closest_marker("long"))
    if long:
        config = items[0].config
        config.stash[_LEFT_OUT] = config.stash.get(_LEFT_OUT, 0) + long
        if hasattr(config, "workeroutput"):
            config.workeroutput["left_out"] = config.stash[_LEFT_OUT]


def take_over(worker: Any) -> None:
    """What a worker counted, told at its end."""
    worker.config.stash[_LEFT_OUT] = getattr(worker, "workeroutput", {}).get("left_out", 0)


def left_out(config: pytest.Config) -> int:
    """How many long repetitions did not run because `-m` left them out."""
    return config.stash.get(_LEFT_OUT, 0)
