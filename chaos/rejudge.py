"""`python -m chaos report out/RUN`: judge a run again from its evidence files alone, and write its page for people.

Nothing is started and nothing asked but the files. The new verdicts take the place of the old in `matrix.json`; where
they differ, the command says so. Exit code 0: every cell as it must be. 1: not so. 3: nothing worse than an unknown.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from chaos.matrix import SUMMARY
from chaos.table import grid
from chaos.verdict import Cell, judge_cell

__all__ = ["configure", "rejudge", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the evidence of a run, as out/demo")


def run(args: argparse.Namespace) -> int:
    """The exit code."""
    from chaos.report import write_report  # its libraries are wanted here alone

    try:
        before = {cell["folder"]: cell["problems"] for cell in _summary(args.folder)["cells"]}
        cells = rejudge(args.folder)
    except (OSError, ValueError, KeyError, msgspec.DecodeError) as error:
        _say(f"report: {args.folder} is not the evidence of a run: {error}")
        return 2
    print(grid(cells, colours=sys.stdout.isatty()))
    for cell in cells:
        for problem in cell.problems:
            print(f"PROBLEM {cell.scenario} x {cell.column}: {problem} {'; '.join(cell.violations)}")
        if before[cell.folder] != cell.problems:
            _say(f"{cell.folder}: judged otherwise before: {before[cell.folder]}")
    _say(f"report: {write_report(args.folder)}")
    return _exit_code(_summary(args.folder)["complete"], cells)


def rejudge(folder: Path) -> list[Cell]:
    """The cells of the run in `folder`, judged anew; its summary says the same then. Raises as it is no run's."""
    summary = _summary(folder)
    cells = [judge_cell(folder / cell["folder"]) for cell in summary["cells"]]
    summary["cells"] = [cell.as_json() for cell in cells]
    summary["good"] = summary["complete"] and all(cell.good for cell in cells)
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return cells


def _summary(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_bytes())
    return summary


def _exit_code(complete: bool, cells: list[Cell]) -> int:
    if complete and all(cell.good for cell in cells):
        return 0
    is_only_unknown = all(cell.good or (cell.linearizable == "unknown" and len(cell.problems) == 1) for cell in cells)
    return 3 if complete and is_only_unknown else 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
