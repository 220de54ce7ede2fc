"""What holds for every cell of a scenario of shared stores, wherever it runs."""

from __future__ import annotations

from chaos.judging.cell_verdict import Cell
from chaos.scenarios.base import Scenario

__all__ = ["assert_as_it_must"]


def assert_as_it_must(cell: Cell, scenario: Scenario) -> None:
    """The fault fired; what must hold does, and an order of all calls fits; what must be lost is, and not doubled."""
    assert cell.good, (cell.problems, cell.violations, cell.repeat)
    assert cell.fired
    if scenario.promise(cell.column) == "must hold" and cell.column != "at-least-once":
        assert cell.effects["2+"] == 0
        assert cell.linearizable == "yes"
    if cell.column in scenario.must_lose:
        assert cell.effects["2+"] == 0
        assert any("was told ok and has 0 effects" in wrong for wrong in cell.violations)
