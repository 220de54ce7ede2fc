"""Real partitions, lost messages and crashes: at-most-once holds, and the harness is seen to fail where it must.

The whole matrix is measured once, several cells at a time; each test looks at one cell.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from chaos import evidence
from chaos.faults.base import Fault
from chaos.faults.lost_reply import LostReply
from chaos.judging.rejudge import rejudge
from chaos.judging.verdict import Cell, judge_cell
from chaos.runner.cell import COLUMNS, Column, Effort, Task, run_cell
from chaos.runner.environment import Environment
from chaos.runner.matrix import run_matrix
from chaos.runtime import open_runtime
from chaos.runtime.base import Runtime
from chaos.scenarios import scenarios
from chaos.scenarios.base import Scenario
from tests.support.seed import SEED

BY_NAME = {column.name: column for column in COLUMNS}
HERE = [scenario for scenario in scenarios().values() if scenario.runs_on("local")]
TASKS = [Task(scenario, column, Effort(SEED)) for scenario in HERE for column in COLUMNS]
PERSISTED = ("at-most-once", "exactly-once")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the matrix leaves its evidence."""
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="module")
def cells(folder: Path) -> Mapping[tuple[str, str], Cell]:
    """Every cell of the matrix, on local processes and a real Toxiproxy."""
    cells = run_matrix("local", TASKS, folder / "run", "pytest", lambda *_: None)
    return {(cell.scenario, cell.column): cell for cell in cells}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Local processes and a Toxiproxy for cells of a test's own."""
    with contextlib.closing(open_runtime("local", tmp_path_factory.mktemp("runtime"))) as runtime:
        yield runtime


def _run(runtime: Runtime, scenario: Scenario, column: Column, folder: Path) -> Cell:
    return run_cell(runtime, Task(scenario, column, Effort(SEED)), folder, threading.Event())


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_cell_comes_out_as_it_must(cells: Mapping[tuple[str, str], Cell], task: Task) -> None:
    """The fault fired, kept promises are kept, controls are red, the healthy system is healthy before and after."""
    cell = cells[task.scenario.name, task.column.name]
    assert cell.good, (cell.problems, cell.violations, cell.repeat)
    assert cell.fired >= task.scenario.has_fault
    assert not cell.unsteady


@pytest.mark.parametrize("semantics", PERSISTED)
@pytest.mark.parametrize("name", [row.name for row in HERE if not row.must_break & set(PERSISTED)])
def test_no_call_runs_twice_whatever_breaks(cells: Mapping[tuple[str, str], Cell], name: str, semantics: str) -> None:
    """At most one effect per call, counted in the store, under every fault; and an order of all calls that fits."""
    cell = cells[name, semantics]
    assert cell.kept, cell.violations
    assert cell.effects["2+"] == 0
    assert cell.linearizable == "yes"


def test_a_run_can_be_judged_again_from_its_files_alone(
    cells: Mapping[tuple[str, str], Cell], folder: Path, tmp_path: Path
) -> None:
    """Elsewhere, with nothing running, the same verdicts come out; and a token added to a dump is found."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder / "run", copy, ignore=shutil.ignore_patterns("data*", "*.outbox*", "*.log"))
    for cell in rejudge(copy):
        assert cell.as_json() == cells[cell.scenario, cell.column].as_json()
    place = copy / "lost-reply--at-most-once"
    store = json.loads((place / evidence.STORE).read_bytes())
    log = next(key for key in store["rows"] if key.startswith("log/"))
    store["rows"][log]["value"] += store["rows"][log]["value"].split(";")[0] + ";"
    (place / evidence.STORE).write_text(json.dumps(store))
    forged = judge_cell(place)
    assert forged.red
    assert not forged.good


def test_a_server_without_dedup_is_found_out(runtime: Runtime, tmp_path: Path) -> None:
    """At-most-once against a server that ignores identities is reported as a broken promise, and as unsteady."""
    liar = Column("at-most-once", "at-most-once", delivery="none")
    cell = _run(runtime, scenarios()["lost-reply"], liar, tmp_path)
    assert not cell.kept
    assert "the promise was broken" in cell.problems
    assert any("sent again ran again" in wrong for wrong in cell.unsteady)


def test_a_fault_that_misses_fails_the_cell(runtime: Runtime, tmp_path: Path) -> None:
    """A scenario whose fault does nothing proves nothing, and says so."""
    missed = dataclasses.replace(scenarios()["lost-reply"], fault=Fault, hold_s=0.1)
    cell = _run(runtime, missed, BY_NAME["at-least-once"], tmp_path)
    assert cell.kept
    assert cell.problems == ["the fault did not fire", "the control stayed green: no call was doubled"]


class _Forgotten(LostReply):
    """A fault that is taken out too late, and only from the first link."""

    def heal(self, env: Environment) -> None:
        for link in env.first_links:
            link.heal()
        env.first_links[0].add("latency", "upstream", latency=1)


def test_a_toxic_that_is_left_behind_fails_the_cell(runtime: Runtime, tmp_path: Path) -> None:
    """The steady state afterwards is looked at, not assumed."""
    careless = dataclasses.replace(scenarios()["lost-reply"], fault=_Forgotten)
    cell = _run(runtime, careless, BY_NAME["at-most-once"], tmp_path)
    assert any("still has toxic latency-upstream" in wrong for wrong in cell.unsteady)
    assert not cell.good
