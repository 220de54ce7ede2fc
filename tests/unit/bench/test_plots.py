"""Plots are drawn from whatever the rows are called."""

from __future__ import annotations

from pathlib import Path

from bench.measures import writes
from bench.report import plots
from bench.report.result_set import Part, ResultSet


def test_a_name_with_quotes_is_drawn(tmp_path: Path) -> None:
    """A row's name is text in the plot's conditions, and never part of their syntax."""
    name = 'the writer\'s "own" process'
    result_set = ResultSet(tmp_path / "bench.json", {})
    part = result_set.part(Part(writes.NAME, "title", "calls/s", against=name, inverted=True))
    for row, value in ((name, 3.0), ("other", 1.0)):
        part.add(row, writes.column(32), value)
    (drawn,) = plots.draw(result_set, tmp_path)
    assert "own" in drawn.read_text(encoding="utf-8")
