"""The tables as Markdown, readable in a terminal too: columns are padded. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.result_set import Part, ResultSet
from bench.report.stats import Spread, spread

__all__ = ["number", "padded", "part_table", "targets_table", "text"]


def text(result_set: ResultSet, targets: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Everything that a run found."""
    blocks = [
        caption if result_set.whole else f"{caption}\n\nNot the whole run: it was interrupted, or told to measure less."
    ]
    blocks += result_set.facts.get("cut_short", [])
    if targets:
        blocks.append("**Targets**\n\n" + targets_table(targets))
    blocks += [
        f"**{part.title}** ({part.unit})\n\n{part_table(part)}{_notes(part)}" for part in result_set.parts.values()
    ]
    return "\n\n".join(blocks) + "\n"


def targets_table(targets: Sequence[Mapping[str, Any]]) -> str:
    """What, on which baseline, found, floor, aim, verdict."""
    lines = [["", "what", "stands on", "found", "floor", "aim", "verdict"]]
    for row in targets:
        bound = "≤ " if row["at_most"] else "≥ "
        found = _found(row) if "median" in row else "–"
        floor, aim = (f"{bound}{_with_unit(row[name], row['unit'])}" for name in ("floor", "aim"))
        lines.append([str(row["measurement"]), row["what"], row["stands_on"], found, floor, aim, row["verdict"]])
    return padded(lines)


def part_table(part: Part) -> str:
    """Median, extremes, and the ratio to the part's baseline in every cell."""
    lines = [["", *part.columns]]
    lines += [[row, *(_cell(part, row, column) for column in part.columns)] for row in part.rows]
    return padded(lines)


def number(value: float) -> str:
    """Three digits that count: 12,345 · 123 · 12.3 · 0.123."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def padded(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns stand below each other."""
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(lines[0]))]
    rows = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rows.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(rows)


def _cell(part: Part, row: str, column: str) -> str:
    cell = part.cells.get((row, column))
    if cell is None:
        return ""
    if not cell.values:
        return "not measured"
    shown = _spread(spread(cell.values))
    ratios = part.ratios(row, column) if part.against else []
    is_baseline = (column if part.across else row) == part.against
    if ratios and not is_baseline:
        shown += f" ×{number(spread(ratios).median)}"
    return shown + (f" [{cell.faults} went wrong]" if cell.faults else "")


def _spread(found: Spread) -> str:
    if found.rounds == 1:
        return number(found.median)
    return f"{number(found.median)} ({number(found.low)}–{number(found.high)})"


def _found(row: Mapping[str, Any]) -> str:
    median = _with_unit(row["median"], row["unit"])
    return median if row["rounds"] == 1 else f"{median} ({number(row['low'])}–{number(row['high'])})"


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value)} {unit}" if unit != "×" else f"{number(value)}×"


def _notes(part: Part) -> str:
    lines = [part.note] if part.note else []
    lacking = {f"{row}: {cell.missing}" for (row, _), cell in part.cells.items() if cell.missing and not cell.values}
    lines += [f"Not measured: {line}" for line in sorted(lacking)]
    return "\n\n" + "\n".join(lines) if lines else ""
