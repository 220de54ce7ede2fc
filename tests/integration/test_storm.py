"""A storm: clients that retry over flapping links, while the server is killed again and again.

Ten seeds on the default model, three on the event loop, each under both semantics whose promise outlives a crash; and
one on three workers of either model, of which one commits for the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

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


def _name(what: Serving | int | str) -> str:
    return f"{what.model}-{what.workers}" if isinstance(what, Serving) else str(what)


@pytest.fixture(scope="module")
def storms(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[tuple[int, str], Future[Cell]]]:
    """All storms on one way to serve, a few at a time; who asks for one waits for that one."""
    serving, folder, stop = request.param, tmp_path_factory.mktemp("storms"), threading.Event()
    columns = {column.name: column for column in COLUMNS}

    def storm(seed: int, semantics: str) -> Cell:
        task = Task(STORM, columns[semantics], Effort(seed, CLIENTS))
        return run_cell(runtime, task, folder / str(seed), stop)

    with contextlib.closing(open_runtime("local", folder, serving)) as runtime:
        pool = ThreadPoolExecutor(runtime.cells_at_once)
        wanted = [(seed, semantics) for its_serving, seed, semantics in STORMS if its_serving == serving]
        yield {which: pool.submit(storm, *which) for which in wanted}
        stop.set()
        pool.shutdown(cancel_futures=True)


def test_storms_are_had_on_every_model() -> None:
    """A model that is added is stormed at."""
    assert {serving.model for serving, _, _ in STORMS} == set(MODELS)


@pytest.mark.parametrize(("storms", "seed", "semantics"), STORMS, indirect=["storms"], ids=_name)
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(
    storms: Mapping[tuple[int, str], Future[Cell]], seed: int, semantics: str
) -> None:
    """Every acknowledged call is in the store once, none twice, none lost, every offset right, and an order fits."""
    cell = storms[seed, semantics].result()
    assert cell.good, (cell.problems, cell.violations)
    assert cell.effects["2+"] == cell.effects["0"] == 0
    assert cell.linearizable == "yes"
    assert cell.fired == KILLS
    assert cell.told["ok"] >= KILLS * CLIENTS / 2, "hardly a call got through: not much of a storm"
    assert cell.attempts > cell.calls, "no call was retried: not much of a storm"
