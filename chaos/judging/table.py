"""The table that a person reads: semantics across, faults down. Cells in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.judging.cell_verdict import Cell

__all__ = ["details", "grid", "in_words", "inconclusive", "troubles", "write_table"]

DETAILS = "fault semantics calls attempts 0 1 2+ ok definite unknown p50 p99 fired promise came-out"
_RED, _GREEN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def in_words(cell: Cell) -> str:
    """`kept` or `BROKEN`, and what else a caller would notice."""
    if not cell.calls:
        return "NOT MEASURED"
    notes = ["kept" if cell.kept else "BROKEN"]
    if cell.effects["2+"]:
        notes.append(f"{cell.effects['2+']} doubled")
    if cell.told["unknown"]:
        notes.append(f"{cell.told['unknown']} unknown")
    return ", ".join(notes)


def grid(cells: Sequence[Cell], *, colours: bool) -> str:
    """One line a scenario, one column a semantics, as a Markdown table."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows = list(dict.fromkeys(cell.scenario for cell in cells))
    found = {(cell.scenario, cell.column): cell for cell in cells}
    table = [["fault", *columns]]
    paint: dict[tuple[int, int], str] = {}
    for row, scenario in enumerate(rows, start=1):
        line = [scenario]
        for column, name in enumerate(columns, start=1):
            cell = found.get((scenario, name))
            line.append(in_words(cell) if cell else "")
            if cell and colours:
                paint[row, column] = _RED if cell.red or not cell.kept else _GREEN
        table.append(line)
    return _markdown(table, paint)


def details(cells: Sequence[Cell]) -> str:
    """Every figure of every cell, as a Markdown table; times in milliseconds."""
    table = [DETAILS.split()]
    for cell in cells:
        effects, told = cell.effects, cell.told
        came_out = ("kept" if cell.kept else "BROKEN") if cell.calls else "?"
        table.append(
            [cell.scenario, cell.column, str(cell.calls), str(cell.attempts)]
            + [str(effects.get(count, "")) for count in ("0", "1", "2+")]
            + [str(told.get(what, "")) for what in ("ok", "definite", "unknown")]
            + [f"{cell.p50_ms:g}", f"{cell.p99_ms:g}", str(cell.fired), cell.promise, came_out]
        )
    return _markdown(table, {})


def inconclusive(cells: Sequence[Cell]) -> list[str]:
    """Which cells took more than one try, and what became of each earlier one."""
    return [
        f"tried {len(cell.inconclusive) + 1} times: {cell.scenario} x {cell.column}: {'; '.join(cell.inconclusive)}"
        for cell in cells
        if cell.inconclusive
    ]


def troubles(cells: Sequence[Cell]) -> list[str]:
    """Why the run failed, and how to see it again; nothing if it did not."""
    return [
        ": ".join([f"PROBLEM {cell.scenario} x {cell.column}", problem, *cell.violations]) + f"\n  {cell.repeat}"
        for cell in cells
        for problem in cell.problems
    ]


def write_table(folder: Path, cells: Sequence[Cell]) -> None:
    """Both tables, as `table.md`."""
    (folder / "table.md").write_text(f"{grid(cells, colours=False)}\n\n{details(cells)}\n", encoding="utf-8")


def _markdown(table: Sequence[Sequence[str]], paint: dict[tuple[int, int], str]) -> str:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = []
    for row, line in enumerate(table):
        padded = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        painted = [
            f"{paint[row, column]}{text}{_PLAIN}" if (row, column) in paint else text
            for column, text in enumerate(padded)
        ]
        lines.append(f"| {' | '.join(painted)} |")
        if row == 0:
            lines.append(f"| {' | '.join('-' * width for width in widths)} |")
    return "\n".join(lines)
