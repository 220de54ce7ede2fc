"""Plots are drawn from whatever the rows are called."""

from __future__ import annotations

from pathlib import Path

from bench import plots
from bench.book import Book, Part
from bench.measures import writes


def test_a_name_with_quotes_is_drawn(tmp_path: Path) -> None:
    """A row's name is text in the plot's conditions, and never part of their syntax."""
    name = 'the writer\'s "own" process'
    book = Book(tmp_path / "bench.json", {})
    part = book.part(Part(writes.NAME, "title", "calls/s", against=name, inverted=True))
    for row, value in ((name, 3.0), ("other", 1.0)):
        part.add(row, writes.column(32), value)
    (drawn,) = plots.draw(book, tmp_path)
    assert "own" in drawn.read_text(encoding="utf-8")
