"""Real partitions, lost messages and crashes: at-most-once holds, and the harness is seen to fail where it must.

`make test` measures at-most-once under every fault, of the scenarios of `make demo` the control as well, and of one all
columns; `make test-long` all of them, on both models.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from chaos import evidence
from chaos.faults.base import Fault
from chaos.faults.lost_reply import LostReply
from chaos.judging.cell_verdict import Cell, judge_cell
from chaos.judging.report_command import rejudge
from chaos.judging.table import inconclusive
from chaos.runner.cell import COLUMNS, CellEffort, Column, Task
from chaos.runner.environment import Environment, FaultMissed
from chaos.runner.matrix import run_matrix
from chaos.runner.tries import TRIES_MAX, run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import MODELS, Runtime, Serving
from chaos.scenarios import scenarios
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, Scenario
from tests.support.seed import SEED

BY_NAME = {column.name: column for column in COLUMNS}
HERE = [scenario for scenario in scenarios().values() if scenario.runs_on("local")]
PERSISTED = ("at-most-once", "exactly-once")
Key = tuple[str, str, str]
CELLS: list[Key] = [(model, row.name, column.name) for model in MODELS for row in HERE for column in COLUMNS]
IN_ALL_COLUMNS = "lost-reply"
JUDGED_AGAIN = [
    *(("lost-reply", column.name) for column in COLUMNS),
    *(("volume-lost", "maybe"), ("client-crash", "exactly-once"), ("bank", "at-most-once")),
]


def _each(keys: Sequence[Key]) -> pytest.MarkDecorator:
    """Tests of one cell run in one process, which measures it once."""
    cases = []
    for key in keys:
        marks = [pytest.mark.xdist_group("/".join(key)), *([] if _is_short(*key) else [pytest.mark.long])]
        cases.append(pytest.param(*key, marks=marks))
    return pytest.mark.parametrize(("model", "name", "column"), cases)


def _is_short(model: str, name: str, column: str) -> bool:
    is_control = column == AT_LEAST_ONCE and scenarios()[name].quick
    return model == Serving.model and (column == AT_MOST_ONCE or is_control or name == IN_ALL_COLUMNS)


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str], Cell]:
    """Measures a cell of the matrix when first asked for it, on local processes and a real Toxiproxy."""
    root = tmp_path_factory.mktemp("cells")

    @functools.cache
    def measure(model: str, name: str, column: str) -> Cell:
        folder = root / model / name / column
        with contextlib.closing(open_runtime("local", folder / "runtime", Serving(model))) as runtime:
            return _run(runtime, scenarios()[name], BY_NAME[column], folder / "cell")

    return measure


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Local processes and a Toxiproxy for cells of a test's own."""
    with contextlib.closing(open_runtime("local", tmp_path_factory.mktemp("runtime"))) as runtime:
        yield runtime


def _run(runtime: Runtime, scenario: Scenario, column: Column, folder: Path) -> Cell:
    return run_cell(runtime, Task(scenario, column, CellEffort(SEED)), folder, threading.Event())


@_each(CELLS)
def test_every_cell_comes_out_as_it_must(
    cells: Callable[[str, str, str], Cell], model: str, name: str, column: str
) -> None:
    """The fault fired, kept promises are kept, controls are red, the healthy system is healthy before and after."""
    cell = cells(model, name, column)
    assert cell.good, (cell.problems, cell.violations, cell.repeat)
    assert cell.fired >= scenarios()[name].has_fault
    assert not cell.unsteady


@_each([key for key in CELLS if key[2] in PERSISTED and not scenarios()[key[1]].must_break & set(PERSISTED)])
def test_no_call_runs_twice_whatever_breaks(
    cells: Callable[[str, str, str], Cell], model: str, name: str, column: str
) -> None:
    """At most one effect per call, counted in the store, under every fault; and an order of all calls that fits."""
    cell = cells(model, name, column)
    assert cell.kept, cell.violations
    assert cell.effects["2+"] == 0
    assert cell.linearizable == "yes"


def test_a_run_can_be_judged_again_from_its_files_alone(tmp_path: Path) -> None:
    """Elsewhere, with nothing running, the same verdicts come out; and a token added to a dump is found."""
    tasks = [Task(scenarios()[name], BY_NAME[column], CellEffort(SEED)) for name, column in JUDGED_AGAIN]
    cells = run_matrix("local", tasks, tmp_path / "run", "pytest", lambda *_: None)
    copy = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "run", copy, ignore=shutil.ignore_patterns("data*", "*.outbox*", "*.log"))
    assert [cell.as_json() for cell in rejudge(copy)] == [cell.as_json() for cell in cells]
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
    # Patient clients: on a busy machine an attempt runs out of time by itself, and its call is doubled without a fault.
    missed = dataclasses.replace(scenarios()["lost-reply"], fault=Fault, hold_s=0.1, attempt_timeout_s=20.0)
    cell = _run(runtime, missed, BY_NAME["at-least-once"], tmp_path)
    assert cell.kept
    assert cell.problems == ["the fault did not fire", "the control stayed green: no call was doubled"]
    assert len(cell.inconclusive) == TRIES_MAX - 1


class _LateFor(LostReply):
    """A fault that finds nothing to strike, or strikes nothing, the first times."""

    def __init__(self, missing: Iterator[Callable[[], None]]) -> None:
        super().__init__()
        self._miss = next(missing, None)

    def inject(self, env: Environment) -> None:
        if self._miss is None:
            super().inject(env)
        else:
            self._miss()


def test_a_fault_that_misses_strikes_again(runtime: Runtime, tmp_path: Path) -> None:
    """What tells nothing of the system is measured again, and says so; the evidence of every try is kept."""

    def find_nothing() -> None:
        raise FaultMissed("after 60 s still not so: a call comes")

    missing = iter([find_nothing, lambda: None])
    late = dataclasses.replace(scenarios()["lost-reply"], fault=lambda: _LateFor(missing))
    cell = _run(runtime, late, BY_NAME["at-least-once"], tmp_path)
    assert cell.good, cell.problems
    assert cell.red
    assert [reason.partition(":")[0] for reason in cell.inconclusive] == [
        "not measured, for the fault found nothing to strike",
        "the fault did not fire",
    ]
    assert inconclusive([cell])[0].startswith("tried 3 times: lost-reply x at-least-once: not measured, ")
    tries = sorted(path.parent.name for path in tmp_path.rglob(evidence.CELL))
    assert tries == ["lost-reply--at-least-once", "try-1", "try-2"]


def test_what_a_try_told_of_the_system_counts(runtime: Runtime, tmp_path: Path) -> None:
    """A broken promise is the result, though the fault missed: nobody measures until it pleases."""
    missing = iter([lambda: None] * TRIES_MAX)
    liar = Column("at-most-once", "at-most-once", delivery="none")
    late = dataclasses.replace(scenarios()["lost-reply"], fault=lambda: _LateFor(missing))
    cell = _run(runtime, late, liar, tmp_path)
    assert not cell.good
    assert cell.unsteady
    assert not cell.inconclusive


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
