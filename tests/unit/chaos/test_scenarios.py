"""What the scenarios claim about themselves."""

from __future__ import annotations

import inspect

import pytest

from chaos.evidence import MUST_BREAK, MUST_HOLD, Counts
from chaos.faults.base import Fault
from chaos.faults.late_duplicate import LateDuplicate
from chaos.runner.cell import COLUMNS
from chaos.runtime.base import ASYNC_STANDBY, LINKED, OWN, STANDBY
from chaos.runtime.stores import SHARED
from chaos.scenarios import scenarios
from chaos.scenarios.base import AT_LEAST_ONCE, MEMORY, Scenario


@pytest.mark.parametrize("scenario", scenarios().values(), ids=list(scenarios()))
def test_a_scenario_names_columns_that_exist(scenario: Scenario) -> None:
    """A control that names no column would never be checked."""
    columns = {column.name for column in COLUMNS}
    assert scenario.must_be_red <= columns
    assert scenario.may_break | scenario.must_break <= columns
    assert scenario.teaches.strip()


@pytest.mark.parametrize("scenario", scenarios().values(), ids=list(scenarios()))
def test_no_fault_claims_to_have_fired_when_nothing_happened(scenario: Scenario) -> None:
    """A run in which every attempt arrived and was answered is no proof of any fault."""
    quiet = Counts(sent=48, answered=48, arrived=48, identified=True)
    assert scenario.fault().fired(quiet) == 0


@pytest.mark.parametrize("scenario", scenarios().values(), ids=list(scenarios()))
@pytest.mark.parametrize("column", [column.name for column in COLUMNS])
def test_every_cell_says_what_must_become_of_it(scenario: Scenario, column: str) -> None:
    """Must hold, must break or may break, in words that agree with what the verdict is held against."""
    expected = scenario.expects(column)
    assert expected.promise == scenario.promise(column)
    assert expected.excused == (expected.promise != MUST_HOLD)
    doubled = expected.red and column != AT_LEAST_ONCE
    assert (expected.promise == MUST_BREAK) == (expected.broken or doubled)


def _restarts_the_server(fault: Fault) -> bool:
    """Whether it ever does: then it revives it where something goes wrong, or goes on with another one."""
    if isinstance(fault, LateDuplicate):
        return fault._restart
    source = inspect.getsource(type(fault))
    return "env.revive()" in source or "env.go_on_with_spare()" in source


@pytest.mark.parametrize("scenario", scenarios().values(), ids=list(scenarios()))
def test_records_in_memory_may_break_wherever_a_retry_meets_another_memory(scenario: Scenario) -> None:
    """A call that is tried again after a restart, or at another server, runs again, in any such scenario."""
    meets_another = scenario.needs_shared or _restarts_the_server(scenario.fault())
    assert (scenario.promise(MEMORY) != MUST_HOLD) == meets_another


@pytest.mark.parametrize("store", SHARED)
def test_what_a_scenario_needs_of_a_store_it_says(store: str) -> None:
    """On an engine that servers share; its kinds of stores are known, and whoever loses calls there may lose them."""
    for scenario in scenarios().values():
        assert scenario.store in ("", LINKED, OWN, STANDBY, ASYNC_STANDBY)
        assert scenario.stores <= SHARED.keys()
        assert scenario.must_lose <= scenario.must_break
        assert not (scenario.needs_shared and scenario.runs_on("local"))
        if scenario.needs_shared and not scenario.stores:
            assert scenario.runs_on("local", store)


def test_a_lost_disk_teaches_something_else_where_stores_are_shared() -> None:
    """There it is no loss, and nothing of it must break."""
    alone, shared = scenarios()["volume-lost"], scenarios()["volume-lost"].on_shared_store()
    assert shared.teaches != alone.teaches
    assert alone.must_break
    assert not shared.must_break


def test_the_persisted_columns_break_where_disk_or_table_or_the_last_commits_are_lost_alone() -> None:
    """No other scenario excuses the columns whose promise this project is about."""
    for scenario in scenarios().values():
        excused = (scenario.may_break | scenario.must_break) & {"at-most-once", "exactly-once"}
        known = ("volume-lost", "restart-forgets", "primary-promoted-async", "restored-from-backup")
        assert bool(excused) == (scenario.name in known)
        assert scenario.may_break <= {"at-most-once/memory"}
