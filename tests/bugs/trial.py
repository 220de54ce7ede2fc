"""One trial: one cell of the chaos matrix, against a bug or, as the control, against the product as it is.

Each trial is a process of its own (`python -m tests.bugs.trial …`), so that what is planted on the client's side, and
what is taken off the harness, is gone with it. It prints the cell as one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chaos.cell import COLUMNS, Effort, Task, run_cell
from chaos.runtime.local import LocalRuntime
from chaos.scenarios import scenarios
from chaos.verdict import Cell
from tests.bugs.base import Bug
from tests.bugs.blind import BLIND, CHECKS
from tests.bugs.planted import load

__all__ = ["Caught", "Plan", "Trial", "TrialFailed", "run"]

ROOT = Path(__file__).parents[2]
TRIAL_MAX_S = 180.0
_OF_A_CALL = re.compile(r"c\d+-\d+ was |and \d+ more")
COLUMN_BY_NAME = {column.name: column for column in COLUMNS}


class TrialFailed(RuntimeError):
    """The trial gave no verdict; the message ends with what its process said last."""


@dataclass(frozen=True)
class Plan:
    """What to try. bug: None is the control. without: the checks that are taken off the harness."""

    scenario: str
    column: str
    seed: int
    bug: str | None = None
    calls: int = 25
    without: tuple[str, ...] = ()

    @property
    def cell(self) -> str:
        return f"{self.scenario} × {self.column}"


@dataclass(frozen=True)
class Caught:
    """A check that said so, in the words of its first finding."""

    check: str
    words: str


@dataclass(frozen=True)
class Trial:
    """What came out. problems: why the cell fails its run. crashed: how the planted code fell over; proves nothing."""

    problems: list[str]
    caught: list[Caught] = field(default_factory=list)
    after_calls: int | None = None
    calls: int = 0
    crashed: str = ""

    @property
    def is_catch(self) -> bool:
        """Whether some check found a wrong effect or answer. That the cell could not be measured is no catch."""
        return bool(self.caught) and not self.crashed


def run(plan: Plan, folder: Path) -> Trial:
    """Try it in a process of its own; evidence goes to `folder`. Raises TrialFailed."""
    folder = folder.absolute()
    folder.mkdir(parents=True)
    words = [plan.scenario, plan.column, "--seed", str(plan.seed), "--calls", str(plan.calls), "--out", str(folder)]
    words += ["--bug", plan.bug] if plan.bug else []
    for check in plan.without:
        words += ["--without", check]
    with (folder / "trial.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.bugs.trial", *words]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, timeout=TRIAL_MAX_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise TrialFailed(f"{plan.cell}: no end within {TRIAL_MAX_S:g} s") from None
    if done.returncode:
        raise TrialFailed(f"{plan.cell}: {(folder / 'trial.log').read_text()[-1500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    found["caught"] = [Caught(**caught) for caught in found["caught"]]
    return Trial(**found)


def main(argv: Sequence[str] | None = None) -> int:
    """The process's own side."""
    parser = argparse.ArgumentParser(prog="python -m tests.bugs.trial", description=__doc__)
    parser.add_argument("scenario", choices=scenarios())
    parser.add_argument("column", choices=COLUMN_BY_NAME)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bug")
    parser.add_argument("--without", action="append", choices=CHECKS, default=[])
    args = parser.parse_args(argv)
    bug = load(args.bug) if args.bug else None
    with contextlib.ExitStack() as stack:
        for check in args.without:
            stack.enter_context(BLIND[check]())
        cell = _measure(bug, args)
    print(json.dumps(asdict(_trial(cell, args.out))))
    return 0


def _measure(bug: Bug | None, args: argparse.Namespace) -> Cell:
    column, effort = COLUMN_BY_NAME[args.column], Effort(args.seed, calls=args.calls)
    in_server = bug is not None and bug.side == "server"
    command = [sys.executable, "-m", "tests.bugs.serve", bug.name] if bug and in_server else []
    in_client: AbstractContextManager[object] = contextlib.nullcontext() if bug is None or in_server else bug.plant()
    with contextlib.closing(LocalRuntime(args.out, command=command)) as runtime, in_client:
        return run_cell(runtime, Task(scenarios()[args.scenario], column, effort), args.out, threading.Event())


def _trial(cell: Cell, folder: Path) -> Trial:
    return Trial(cell.problems, _catches(cell), cell.violated_after, cell.calls, _crash(folder))


def _catches(cell: Cell) -> list[Caught]:
    """The checks that found something wrong, each with its first finding: the judge speaks of calls by their names."""
    found: dict[str, str] = {}
    for words in cell.violations:
        found.setdefault("judge" if _OF_A_CALL.match(words) else "checker", words)
    if cell.unsteady:
        found["steady state"] = cell.unsteady[0]
    return [Caught(check, words) for check, words in found.items()]


def _crash(folder: Path) -> str:
    """The last line of a traceback in a server's log: a bug that falls over was not planted well."""
    for log in folder.rglob("*-server.log"):
        text = log.read_text(encoding="utf-8", errors="replace")
        if "Traceback" in text:
            return text.rstrip().rpartition("\n")[2]
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
