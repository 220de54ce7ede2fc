"""`python -m chaos report out/RUN`: judge a run again from its evidence files alone, and write its page for people.

Nothing is started and nothing asked but the files. The new verdicts take the place of the old in `matrix.json`; where
they differ, the command says so. Exit code 0: every cell as it must be. 1: not so. 3: nothing worse than an unknown.
4: nothing to judge: no cell was measured. 2: not the evidence of a run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from chaos import evidence
from chaos.judging.cell_verdict import Cell, judge_cell
from chaos.judging.check_command import NOTHING
from chaos.judging.table import grid, troubles, write_table
from chaos.runner.matrix import run_is_good

__all__ = ["configure", "rejudge", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the evidence of a run, as out/demo")


def run(args: argparse.Namespace) -> int:
    """The exit code."""
    from chaos.report.page import write_report  # its libraries are wanted here alone

    try:
        before = {cell["folder"]: cell.get("problems") for cell in evidence.read_run(args.folder).cells}
        cells = rejudge(args.folder)
        write_table(args.folder, cells)
        page = write_report(args.folder)
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        _say(f"report: {args.folder} is not the evidence of a run: {error!r}")
        return 2
    print(grid(cells, colours=sys.stdout.isatty()))
    for line in troubles(cells):
        print(line)
    for cell in cells:
        if before[cell.folder] != cell.problems:
            _say(f"{cell.folder}: judged otherwise before: {before[cell.folder]}")
    _say(f"report: {page}")
    return _exit_code(cells, complete=evidence.read_run(args.folder).complete)


def rejudge(folder: Path) -> list[Cell]:
    """The cells of the run in `folder`, judged anew; its summary says the same then.

    Raises OSError, msgspec.DecodeError, KeyError or TypeError where the folder is not a run's.
    """
    run = evidence.read_run(folder)
    cells = [_judged(folder, was) for was in run.cells]
    run.cells, run.good = [cell.as_json() for cell in cells], run_is_good(run, cells)
    evidence.write_run(folder, run)
    return cells


def _judged(folder: Path, was: dict[str, Any]) -> Cell:
    try:
        return judge_cell(folder / was["folder"])
    except (OSError, msgspec.DecodeError) as error:
        known = {name: was[name] for name in ("scenario", "column", "folder", "repeat", "teaches", "control")}
        return Cell(**known, problems=[f"the evidence is damaged: {error}"])


def _exit_code(cells: list[Cell], *, complete: bool) -> int:
    if not cells:
        return NOTHING
    if complete and all(cell.good for cell in cells):
        return 0
    is_only_unknown = all(cell.good or (cell.linearizable == "unknown" and len(cell.problems) == 1) for cell in cells)
    return 3 if complete and is_only_unknown else 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
