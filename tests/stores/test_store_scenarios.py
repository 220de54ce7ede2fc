"""The chaos scenarios on stores that servers share: every cell comes out as it must.

`make test` has every other one of those that catch planted bugs, and of those of which the storms and the tests of the
engines show nothing; `make test-all` has all of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading

import pytest

from chaos.faults.primary_promoted import PrimaryPromoted
from chaos.runner.cell import COLUMNS, CellEffort, Task
from chaos.runner.tries import run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import STANDBY, Serving
from chaos.runtime.stores import SHARED
from chaos.scenarios import scenarios
from tests.bugs.planted import bugs
from tests.support import postgres
from tests.support.one_cell import assert_as_it_must
from tests.support.repetitions import drawn, long_unless
from tests.support.seed import SEED
from tests.support.stores import one_etcd

BY_NAME = {column.name: column for column in COLUMNS}
TELLING = {
    *((bug.store, *cell) for bug in bugs().values() if bug.store in SHARED for cell in bug.caught_by),
    ("postgres", "two-servers-one-call", "at-most-once"),
    ("etcd", "store-away", "at-most-once"),
    ("postgres", "primary-promoted-async", "at-most-once"),
}
CELLS = [
    (store, row.name, column.name)
    for store in SHARED
    for row in scenarios().values()
    for column in COLUMNS
    if row.needs_shared and row.runs_on("local", store)
]
EACH = long_unless(drawn(2, sorted(TELLING), "cells of the stores"), CELLS)


@pytest.mark.parametrize(("store", "name", "column"), EACH)
def test_every_cell_comes_out_as_it_must(tmp_path, store, name, column):
    """The fault fired; what must hold does, and an order of all calls fits; what must be lost is, and not doubled."""
    scenario = scenarios()[name]
    cell = _run(tmp_path, store, scenario, column)
    assert_as_it_must(cell, scenario)


@pytest.mark.long
def test_a_standby_that_loses_nothing_fails_the_control(tmp_path):
    """Where acknowledged calls must be lost, and none is, the cell says so."""
    control = scenarios()["primary-promoted-async"]
    synchronous = dataclasses.replace(control, store=STANDBY, fault=PrimaryPromoted)
    cell = _run(tmp_path, "postgres", synchronous, "exactly-once")
    assert cell.fired
    assert "no acknowledged call was lost, and some must be" in cell.problems


def _run(tmp_path, store, scenario, column):
    one_etcd() if store == "etcd" else postgres.skip_without()
    task = Task(scenario, BY_NAME[column], CellEffort(SEED))
    with contextlib.closing(open_runtime("local", tmp_path / "runtime", Serving(store=store))) as runtime:
        return run_cell(runtime, task, tmp_path / "cell", threading.Event())
