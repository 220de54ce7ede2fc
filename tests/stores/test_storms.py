"""Storms on stores that servers share: leaders and servers die every few seconds, and each call has one effect.

`make test` has a short one on each engine, `make test-long` those of 5,000 calls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading

import pytest

from chaos.faults.store_storm import StoreStorm
from chaos.runner.cell import COLUMNS, CellEffort, Task
from chaos.runner.tries import run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import Serving
from chaos.scenarios import scenarios
from tests.support import postgres
from tests.support.seed import SEED
from tests.support.stores import one_etcd

CLIENTS = 8  # of two lanes each
CALLS = 5000
SHORT_ROUNDS = 2
EXACTLY_ONCE = next(column for column in COLUMNS if column.name == "exactly-once")


@pytest.mark.parametrize("calls", [None, pytest.param(CALLS, marks=pytest.mark.long)], ids=["short", "5000"])
@pytest.mark.parametrize(("store", "name"), [("etcd", "store-storm"), ("postgres", "promotion-storm")])
def test_a_storm_loses_nothing_and_doubles_nothing(tmp_path, store, name, calls):
    """Each call is told ok, is in the store once, at the offset that it was told; and an order of all of them fits."""
    one_etcd() if store == "etcd" else postgres.skip_without()
    fault = StoreStorm(rounds=calls or SHORT_ROUNDS, promotes=name == "promotion-storm")
    storm = dataclasses.replace(scenarios()[name], endless=calls is None, fault=lambda: fault)
    task = Task(storm, EXACTLY_ONCE, CellEffort(SEED, CLIENTS, (calls or CALLS) // CLIENTS))
    with contextlib.closing(open_runtime("local", tmp_path / "runtime", Serving(store=store))) as runtime:
        cell = run_cell(runtime, task, tmp_path / "storm", threading.Event())
    print(cell)
    assert cell.good, (cell.problems, cell.violations)
    assert cell.told["ok"] == cell.effects["1"] == cell.calls >= (calls or CLIENTS)
    assert cell.linearizable == "yes"
    assert cell.attempts > cell.calls, "no call was retried: not much of a storm"
