"""A storm: clients that retry over flapping links, while the server is killed again and again.

`make test` has one seed on each model, under both semantics whose promise outlives a crash; `make test-long` nine
more on the default, two on the other, and one on three workers of either model, beside which one more process commits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chaos.faults.storm import Storm
from chaos.judging.verdict import Cell
from chaos.runner.cell import COLUMNS, Effort, Task, run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import MODELS, Runtime, Serving
from chaos.scenarios import scenarios
from tests.support.seed import SEED

KILLS = 20
CLIENTS = 8  # of two lanes each
PERSISTED = ("at-most-once", "exactly-once")
STORM = dataclasses.replace(scenarios()["crash-storm"], fault=lambda: Storm(KILLS))
Which = tuple[Serving, int, str]
EVENTS, THREADS = Serving("event-loop"), Serving("threads")
STORMS: list[Which] = [
    *((EVENTS, seed, semantics) for seed in range(SEED, SEED + 10) for semantics in PERSISTED),
    *((THREADS, seed, semantics) for seed in range(SEED, SEED + 3) for semantics in PERSISTED),
    *((dataclasses.replace(one, workers=3), SEED, "exactly-once") for one in (EVENTS, THREADS)),
]
SHORT = [which for which in STORMS if which[1] == SEED and which[0].workers == 1]


def _name(what: Serving | int | str) -> str:
    return f"{what.model}-{what.workers}" if isinstance(what, Serving) else str(what)


@pytest.fixture(scope="module")
def storms(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Which, Future[Cell]]]:
    """The chosen storms, a few at a time; who asks for one waits for that one, so that a slow machine is no hang."""
    test = test_a_storm_of_kills_loses_nothing_and_doubles_nothing
    items: list[Any] = [item for item in request.session.items if getattr(item, "function", None) is test]
    params = [item.callspec.params for item in items]
    cells: dict[Which, Future[Cell]] = {(one["serving"], one["seed"], one["semantics"]): Future() for one in params}
    folder, stop = tmp_path_factory.mktemp("storms"), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        raging = pool.submit(_rage, cells, folder, stop)
        raging.add_done_callback(lambda _: [cell.cancel() for cell in cells.values()])
        yield cells
        stop.set()
    raging.result()


def _rage(cells: Mapping[Which, Future[Cell]], folder: Path, stop: threading.Event) -> None:
    """One way to serve after the other, for a process has one Toxiproxy at a time."""
    columns = {column.name: column for column in COLUMNS}

    def storm(runtime: Runtime, which: Which) -> None:
        _, seed, semantics = which
        task = Task(STORM, columns[semantics], Effort(seed, CLIENTS))
        cells[which].set_result(run_cell(runtime, task, folder / _name(runtime.serving) / str(seed), stop))

    for serving in dict.fromkeys(serving for serving, _, _ in cells):
        with (
            contextlib.closing(open_runtime("local", folder / _name(serving), serving)) as runtime,
            ThreadPoolExecutor(runtime.cells_at_once) as pool,
        ):
            list(pool.map(partial(storm, runtime), [which for which in cells if which[0] == serving]))


def test_storms_are_had_on_every_model() -> None:
    """A model that is added is stormed at."""
    assert {serving.model for serving, _, _ in STORMS} == set(MODELS)


@pytest.mark.parametrize(
    ("serving", "seed", "semantics"),
    [pytest.param(*which, marks=[] if which in SHORT else [pytest.mark.long]) for which in STORMS],
    ids=_name,
)
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(
    storms: Mapping[Which, Future[Cell]], serving: Serving, seed: int, semantics: str
) -> None:
    """Every acknowledged call is in the store once, none twice, none lost, every offset right, and an order fits."""
    cell = storms[serving, seed, semantics].result()
    assert cell.good, (cell.problems, cell.violations)
    assert cell.effects["2+"] == cell.effects["0"] == 0
    assert cell.linearizable == "yes"
    assert cell.fired == KILLS
    assert cell.told["ok"] >= KILLS * CLIENTS / 2, "hardly a call got through: not much of a storm"
    assert cell.attempts > cell.calls, "no call was retried: not much of a storm"
