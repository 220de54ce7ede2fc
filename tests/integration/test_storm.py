"""A storm: clients that retry over flapping links, while the server is killed again and again; ten seeds."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaos.cell import COLUMNS, Effort, Task, run_cell
from chaos.faults.storm import Storm
from chaos.runtime import open_runtime
from chaos.scenarios import scenarios
from chaos.verdict import Cell
from tests.support.seed import SEED

KILLS = 20
CLIENTS = 8  # of two lanes each
SEEDS = range(SEED, SEED + 10)
PERSISTED = ("at-most-once", "exactly-once")
STORM = dataclasses.replace(scenarios()["crash-storm"], fault=lambda: Storm(KILLS))


@pytest.fixture(scope="module")
def storms(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[int, str], Cell]:
    """All storms, a few at a time."""
    folder = tmp_path_factory.mktemp("storms")
    columns = [column for column in COLUMNS if column.name in PERSISTED]
    wanted = [(seed, column) for seed in SEEDS for column in columns]
    with (
        contextlib.closing(open_runtime("local", folder)) as runtime,
        ThreadPoolExecutor(runtime.cells_at_once) as pool,
    ):
        cells = {
            (seed, column.name): pool.submit(
                run_cell, runtime, Task(STORM, column, Effort(seed, CLIENTS)), folder / str(seed), threading.Event()
            )
            for seed, column in wanted
        }
        return {which: cell.result() for which, cell in cells.items()}


@pytest.mark.parametrize("semantics", PERSISTED)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(
    storms: Mapping[tuple[int, str], Cell], seed: int, semantics: str
) -> None:
    """Every acknowledged call is in the store once, none twice, none lost, every offset right, and an order fits."""
    cell = storms[seed, semantics]
    assert cell.good, (cell.problems, cell.violations)
    assert cell.effects["2+"] == cell.effects["0"] == 0
    assert cell.linearizable == "yes"
    assert cell.fired == KILLS
    assert cell.told["ok"] >= KILLS * CLIENTS / 2, "hardly a call got through: not much of a storm"
    assert cell.attempts > cell.calls, "no call was retried: not much of a storm"
