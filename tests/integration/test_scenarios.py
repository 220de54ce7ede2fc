"""Real partitions, lost messages and crashes: at-most-once holds, and the harness is seen to fail where it must."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cell import COLUMNS, Cell, Column, Effort, run_cell
from chaos.faults.base import Fault
from chaos.runtime import open_runtime
from chaos.runtime.base import Runtime
from chaos.scenarios import scenarios
from chaos.scenarios.base import Scenario
from tests.support.seed import SEED

BY_NAME = {column.name: column for column in COLUMNS}
HERE = [scenario for scenario in scenarios().values() if scenario.has_fault and scenario.runs_on("local")]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Local processes and a real Toxiproxy."""
    with contextlib.closing(open_runtime("local", tmp_path_factory.mktemp("runtime"))) as runtime:
        yield runtime


def _run(runtime: Runtime, scenario: Scenario, column: Column, folder: Path) -> Cell:
    return run_cell(runtime, scenario, column, Effort(SEED), folder, threading.Event())


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
@pytest.mark.parametrize("name", [row.name for row in HERE if not row.must_break])
def test_no_call_runs_twice_whatever_breaks(runtime: Runtime, name: str, semantics: str, tmp_path: Path) -> None:
    """At most one effect per call, counted in the store, under every fault; and the fault provably fired."""
    cell = _run(runtime, scenarios()[name], BY_NAME[semantics], tmp_path)
    assert cell.good, (cell.problems, cell.violations)
    assert cell.fired >= 1
    assert cell.effects["2+"] == 0


@pytest.mark.parametrize(
    ("name", "control"), [(row.name, column) for row in HERE for column in sorted(row.must_be_red | row.must_break)]
)
def test_every_control_is_red(runtime: Runtime, name: str, control: str, tmp_path: Path) -> None:
    """Without identities, with a memory that a crash wipes, or without its disk, the promise of others breaks."""
    cell = _run(runtime, scenarios()[name], BY_NAME[control], tmp_path)
    assert cell.red or not cell.kept
    assert cell.good, (cell.problems, cell.violations)


def test_a_server_without_dedup_is_found_out(runtime: Runtime, tmp_path: Path) -> None:
    """At-most-once against a server that ignores identities is reported as a broken promise."""
    liar = Column("at-most-once", "at-most-once", delivery="none")
    cell = _run(runtime, scenarios()["lost-reply"], liar, tmp_path)
    assert not cell.kept
    assert "the promise was broken" in cell.problems


def test_a_fault_that_misses_fails_the_cell(runtime: Runtime, tmp_path: Path) -> None:
    """A scenario whose fault does nothing proves nothing, and says so."""
    missed = dataclasses.replace(scenarios()["lost-reply"], fault=Fault, hold_s=0.1)
    cell = _run(runtime, missed, BY_NAME["at-least-once"], tmp_path)
    assert cell.kept
    assert cell.problems == ["the fault did not fire", "the control stayed green: no call was doubled"]
