from __future__ import annotations

import pytest

from bench.report.result_set import Part, ResultSet
from bench.report.table import number, part_table, text


@pytest.fixture
def part() -> Part:
    """Ours is the baseline, theirs had a bad reply, etcd was not there."""
    part = Part("p", "1. Title", "calls/s", against="ours", inverted=True, note="A note.")
    for value in (1000, 3000, 2000):
        part.add("ours", "32 connections", value)
        part.add("theirs", "32 connections", 500, faults=1)
    part.lack("etcd", "32 connections", "it is not here")
    return part


def test_a_cell_has_median_extremes_and_the_ratio_to_the_baseline(part):
    """The baseline's own row has no ratio to itself, and what went wrong is said."""
    lines = part_table(part).splitlines()
    assert lines[2].split("|")[2].strip() == "2,000 (1,000–3,000)"
    assert lines[3].split("|")[2].strip() == "500 (500–500) ×4.00 [3 went wrong]"


def test_what_was_not_measured_says_so_and_why(part, tmp_path):
    """No figure is made up, in the cell or below the table."""
    result_set = ResultSet(tmp_path / "b.json", {})
    result_set.part(part)
    shown = text(result_set, [], "caption")
    assert "| not measured " in shown
    assert "Not measured: etcd: it is not here" in shown
    assert "Not the whole run" in shown


def test_columns_stand_below_each_other(part):
    """The table is read in a terminal, too."""
    assert len({len(line) for line in part_table(part).splitlines()}) == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(12345.6, "12,346"), (99.94, "99.9"), (9.876, "9.88"), (0.12345, "0.123"), (-37.4, "-37.4")]
)
def test_numbers_have_three_digits_that_count(value, shown):
    """More would claim a precision that no round has."""
    assert number(value) == shown
