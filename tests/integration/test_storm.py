"""A storm: clients that retry over flapping links, while the server is killed again and again.

Ten seeds on the default model, three on the event loop, each under both semantics whose promise outlives a crash; and
one on three workers of either model, of which one commits for the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from chaos.cell import COLUMNS, Effort, Task, run_cell
from chaos.faults.storm import Storm
from chaos.runtime import open_runtime
from chaos.runtime.base import MODELS, Serving
from chaos.scenarios import scenarios
from chaos.verdict import Cell
from tests.support.seed import SEED

KILLS = 20
CLIENTS = 8  # of two lanes each
PERSISTED = ("at-most-once", "exactly-once")
STORM = dataclasses.replace(scenarios()["crash-storm"], fault=lambda: Storm(KILLS))
Which = tuple[Serving, int, str]
STORMS: list[Which] = [
    *((Serving("threads"), seed, semantics) for seed in range(SEED, SEED + 10) for semantics in PERSISTED),
    *((Serving("event-loop"), seed, semantics) for seed in range(SEED, SEED + 3) for semantics in PERSISTED),
    *((Serving(model, workers=3), SEED, "exactly-once") for model in MODELS),
]


def _name(serving: Serving) -> str:
    return f"{serving.model}-{serving.workers}"


@pytest.fixture(scope="module")
def storms(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Which, Cell]:
    """All storms, a few at a time."""
    folder = tmp_path_factory.mktemp("storms")
    cells: dict[Which, Cell] = {}
    for serving in dict.fromkeys(serving for serving, _, _ in STORMS):
        cells |= _storms_on(serving, folder / _name(serving))
    return cells


def _storms_on(serving: Serving, folder: Path) -> Mapping[Which, Cell]:
    columns = {column.name: column for column in COLUMNS}
    with (
        contextlib.closing(open_runtime("local", folder, serving)) as runtime,
        ThreadPoolExecutor(runtime.cells_at_once) as pool,
    ):
        cells: dict[Which, Future[Cell]] = {}
        for which in STORMS:
            its_serving, seed, semantics = which
            if its_serving == serving:
                task = Task(STORM, columns[semantics], Effort(seed, CLIENTS))
                cells[which] = pool.submit(run_cell, runtime, task, folder / str(seed), threading.Event())
        return {which: cell.result() for which, cell in cells.items()}


def test_storms_are_had_on_every_model() -> None:
    """A model that is added is stormed at."""
    assert {serving.model for serving, _, _ in STORMS} == set(MODELS)


@pytest.mark.parametrize(
    ("serving", "seed", "semantics"), STORMS, ids=lambda what: _name(what) if isinstance(what, Serving) else str(what)
)
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(
    storms: Mapping[Which, Cell], serving: Serving, seed: int, semantics: str
) -> None:
    """Every acknowledged call is in the store once, none twice, none lost, every offset right, and an order fits."""
    cell = storms[serving, seed, semantics]
    assert cell.good, (cell.problems, cell.violations)
    assert cell.effects["2+"] == cell.effects["0"] == 0
    assert cell.linearizable == "yes"
    assert cell.fired == KILLS
    assert cell.told["ok"] >= KILLS * CLIENTS / 2, "hardly a call got through: not much of a storm"
    assert cell.attempts > cell.calls, "no call was retried: not much of a storm"
