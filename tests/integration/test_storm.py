"""A storm: clients that retry over flapping links, while the server is killed again and again.

`make test` has one seed on the default model, under one of the two semantics whose promise outlives a crash;
`make test-long` the other one, nine more seeds, three on the other model, and one on three workers of either model,
beside which one more process commits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from pathlib import Path

import pytest

from chaos.faults.storm import Storm
from chaos.runner.cell import COLUMNS, CellEffort, Task
from chaos.runner.tries import run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import MODELS, Serving
from chaos.scenarios import scenarios
from tests.support.repetitions import drawn, long_unless
from tests.support.seed import SEED

KILLS = 20
CLIENTS = 8  # of two lanes each
PERSISTED = ("at-most-once", "exactly-once")
STORM = dataclasses.replace(scenarios()["crash-storm"], fault=lambda: Storm(KILLS))
BY_NAME = {column.name: column for column in COLUMNS}
Which = tuple[Serving, int, str]
EVENTS, THREADS = Serving("event-loop"), Serving("threads")
STORMS: list[Which] = [
    *((EVENTS, seed, semantics) for seed in range(SEED, SEED + 10) for semantics in PERSISTED),
    *((THREADS, seed, semantics) for seed in range(SEED, SEED + 3) for semantics in PERSISTED),
    *((dataclasses.replace(one, workers=3), SEED, "exactly-once") for one in (EVENTS, THREADS)),
]
SHORT = [(EVENTS, SEED, semantics) for semantics in drawn(2, PERSISTED, "storm")]


def _name(what: Serving | int | str) -> str:
    return f"{what.model}-{what.workers}" if isinstance(what, Serving) else str(what)


def test_storms_are_had_on_every_model() -> None:
    """A model that is added is stormed at."""
    assert {serving.model for serving, _, _ in STORMS} == set(MODELS)


@pytest.mark.parametrize(
    ("serving", "seed", "semantics"),
    long_unless(SHORT, STORMS),
    ids=_name,
)
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(
    tmp_path: Path, serving: Serving, seed: int, semantics: str
) -> None:
    """Every acknowledged call is in the store once, none twice, none lost, every offset right, and an order fits."""
    task = Task(STORM, BY_NAME[semantics], CellEffort(seed, CLIENTS))
    with contextlib.closing(open_runtime("local", tmp_path / "runtime", serving)) as runtime:
        cell = run_cell(runtime, task, tmp_path / "storm", threading.Event())
    assert cell.good, (cell.problems, cell.violations)
    assert cell.effects["2+"] == cell.effects["0"] == 0
    assert cell.linearizable == "yes"
    assert cell.fired == KILLS
    assert cell.told["ok"] >= KILLS * CLIENTS / 2, "hardly a call got through: not much of a storm"
    assert cell.attempts > cell.calls, "no call was retried: not much of a storm"
