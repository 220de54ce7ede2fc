"""The page: reads a run's folder, fills the templates, and writes `report.html` beside the evidence.

Guarantee: one file, written whole or not at all; its content policy forbids it to load anything. Limit: as large as
its evidence: about one MiB for the plots' library, and 30 to 150 KiB a cell.
"""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from chaos.report import labels, order, plots, proof, selection, sequence, vega_specs
from chaos.report.records import Call, CellEvidence, Figures, read_cell, read_run
from chaos.report.vega_library import library

__all__ = ["REPORT", "render", "templates", "write_report"]

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write the report of the run in `folder`; where it is. Raises EvidenceMissing when there is no run."""
    path = folder / REPORT
    draft = folder / f".{REPORT}.draft"
    draft.write_text(render(folder), encoding="utf-8")
    os.replace(draft, path)
    return path


def render(folder: Path) -> str:
    """The page as text. Raises EvidenceMissing."""
    run = read_run(folder)
    cells = run.cells
    return (
        templates()
        .get_template("page.html")
        .render(
            run=run,
            verdict=labels.verdict_of(run),
            failing=[cell for cell in cells if labels.state_of(cell) is labels.FAILS],
            totals=_totals(cells),
            columns=list(dict.fromkeys(cell.column for cell in cells)),
            rows=list(dict.fromkeys(cell.scenario for cell in cells)),
            found={(cell.scenario, cell.column): cell for cell in cells},
            scenarios=[
                (name, _sections([read_cell(folder, cell) for cell in group]))
                for name, group in groupby(cells, key=lambda cell: cell.scenario)
            ],
            specs=vega_specs.SPECS,
            library=library(),
        )
    )


def templates() -> jinja2.Environment:
    """The templates, with all that they ask for."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("chaos.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"state": labels.state_of, "notes": labels.notes_of, "cut": order.cut, "told": labels.told_of}
    templates.filters |= {"ending": labels.ending_of, "why": selection.why_telling, "explain": proof.explain}
    templates.filters["brief"] = lambda ms: f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"
    templates.globals |= {"states": labels.STATES, "endings": labels.ENDINGS, "outcomes": labels.TOLD, "seq": sequence}
    return templates


def _totals(cells: list[Figures]) -> dict[str, int]:
    return {
        "cells": len(cells),
        "calls": sum(cell.calls for cell in cells),
        "attempts": sum(cell.attempts for cell in cells),
        "unknown": sum(cell.told.get("unknown", 0) for cell in cells),
        "doubled": sum(cell.effects.get("2+", 0) for cell in cells),
    }


def _sections(cells: list[CellEvidence]) -> list[dict[str, Any]]:
    """The cells of one scenario: what one of them shows of the network holds for all."""
    copies = any(proof.has_copies(cell.calls or []) for cell in cells)
    return [_section(cell, copies) for cell in cells]


def _section(cell: CellEvidence, copies: bool) -> dict[str, Any]:
    """What the template of one cell is given."""
    calls = cell.calls or []
    telling = selection.most_telling(calls)
    return {
        "cell": cell.figures,
        "copies": copies,
        "evidence": cell,
        "data": plots.datasets(calls, cell.bands) if calls else None,
        "left_out": plots.left_out(calls),
        "listed": selection.listed(calls),
        "happened": selection.count(calls),
        "telling": telling,
        "diagram": sequence.draw(telling, cell.bands, copies) if telling else None,
        "excerpt": _excerpt(telling, cell),
        "orders": order.orders_of(cell.linearization) if cell.linearization else None,
    }


def _excerpt(call: Call | None, cell: CellEvidence) -> order.Excerpt | None:
    return order.excerpt(call, cell.store.rows) if call and cell.store else None
