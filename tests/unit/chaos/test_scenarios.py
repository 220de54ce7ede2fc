"""What the scenarios claim about themselves."""

from __future__ import annotations

import pytest

from chaos.evidence import Counts
from chaos.runner.cell import COLUMNS
from chaos.scenarios import scenarios
from chaos.scenarios.base import Scenario


@pytest.mark.parametrize("scenario", scenarios().values(), ids=list(scenarios()))
def test_a_scenario_names_columns_that_exist(scenario: Scenario) -> None:
    """A control that names no column would never be checked."""
    columns = {column.name for column in COLUMNS}
    assert scenario.must_be_red <= columns
    assert scenario.may_break | scenario.must_break <= columns
    assert scenario.lecture.strip()


@pytest.mark.parametrize("scenario", scenarios().values(), ids=list(scenarios()))
def test_no_fault_claims_to_have_fired_when_nothing_happened(scenario: Scenario) -> None:
    """A run in which every attempt arrived and was answered is no proof of any fault."""
    quiet = Counts(sent=48, answered=48, arrived=48, identified=True)
    assert scenario.fault().fired(quiet) == 0


def test_the_persisted_columns_break_where_the_disk_or_the_table_is_lost_alone() -> None:
    """No other scenario excuses the columns whose promise this project is about."""
    for scenario in scenarios().values():
        excused = (scenario.may_break | scenario.must_break) & {"at-most-once", "exactly-once"}
        assert bool(excused) == (scenario.name in ("volume-lost", "restart-forgets"))
        assert scenario.may_break <= {"at-most-once/memory"}
