"""What was measured so far: cells by measurement, row and column, each with one figure a round; JSON after every cell.

A cell that could not be measured says why, and is never filled otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.report.stats import paired, spread

__all__ = ["Cell", "Part", "ResultSet"]


@dataclass
class Cell:
    """The rounds of one thing. `missing` says why there are none; `faults` how many requests went wrong in them."""

    values: list[float] = field(default_factory=list)
    faults: int = 0
    missing: str = ""


@dataclass
class Part:
    """One measurement: its cells by (row, column), in the order in which they came."""

    name: str
    title: str
    unit: str
    against: str = ""
    """The row (or, with `across`, the column) that the others are divided by."""
    across: bool = False
    inverted: bool = False
    """Shown is that row's figure divided by the others': how many times as fast it is."""
    note: str = ""
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)

    @property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(row for row, _ in self.cells))

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for _, column in self.cells))

    def add(self, row: str, column: str, value: float, faults: int = 0) -> None:
        """One more round."""
        cell = self.cells.setdefault((row, column), Cell())
        cell.values.append(value)
        cell.faults += faults

    def lack(self, row: str, column: str, why: str) -> None:
        """Not measured, and why."""
        self.cells.setdefault((row, column), Cell()).missing = why

    def values(self, row: str, column: str) -> list[float]:
        """The rounds of a cell; none where it was not measured."""
        cell = self.cells.get((row, column))
        return cell.values if cell else []

    def ratios(self, row: str, column: str) -> list[float]:
        """Round by round, against the part's baseline."""
        other = self.values(row, self.against) if self.across else self.values(self.against, column)
        own = self.values(row, column)
        return paired(other, own) if self.inverted else paired(own, other)


class ResultSet:
    """All parts of one run, and the facts about it."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts = dict(facts)
        self.parts: dict[str, Part] = {}
        self.whole = False
        """Whether the run came to its end."""

    def part(self, part: Part) -> Part:
        """A new measurement."""
        self.parts[part.name] = part
        return part

    def values(self, part: str, row: str, column: str) -> list[float]:
        """The rounds of a cell; none where it was not measured."""
        return self.parts[part].values(row, column) if part in self.parts else []

    def save(self, **more: Any) -> None:
        """Write it all, in one step, so that an interrupted run leaves a whole file."""
        content = {**self.facts, "whole": self.whole, "parts": [_plain(part) for part in self.parts.values()], **more}
        scratch = self.path.with_suffix(".new")
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
        scratch.replace(self.path)


def _plain(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "title": part.title,
        "unit": part.unit,
        "against": part.against,
        "note": part.note,
        "cells": [_plain_cell(part, row, column, cell) for (row, column), cell in part.cells.items()],
    }


def _plain_cell(part: Part, row: str, column: str, cell: Cell) -> dict[str, Any]:
    plain: dict[str, Any] = {"row": row, "column": column}
    if cell.missing:
        return {**plain, "missing": cell.missing}
    if cell.values:
        plain |= spread(cell.values)._asdict()
    ratios: Sequence[float] = part.ratios(row, column) if part.against else []
    if ratios:
        plain["ratio"] = spread(ratios)._asdict()
    return {**plain, "values": cell.values, "faults": cell.faults}
