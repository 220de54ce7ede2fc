"""One trial: one cell of the chaos matrix, against a bug or, as the control, against the product as it is.

Each trial is a process of its own (`python -m tests.bugs.trial …`), so that what is planted on the client's side, and
what is taken off the harness, is gone with it. It prints the cell as one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chaos.judging.cell_verdict import Cell
from chaos.runner.cell import CellEffort, Task
from chaos.runner.tries import run_cell
from chaos.runtime.base import MODELS, Serving
from chaos.runtime.local import LocalRuntime
from chaos.runtime.stores import SHARED
from chaos.scenarios import scenarios
from chaos.services import services
from chaos.workload.client_process import ClientProcess
from tests.bugs.base import Bug, replaced
from tests.bugs.disabled_check import BLIND, CHECKS
from tests.bugs.planted import load

__all__ = ["Caught", "Plan", "Stopped", "Trial", "TrialFailed", "run", "stop_at_signals"]

ROOT = Path(__file__).parents[2]
TRIAL_MAX_S = 180.0
END_MAX_S = 30.0
POLL_S = 0.1
_OF_A_CALL = re.compile(r"c\d+-\d+ was ")
_OF_THE_SAME = re.compile(r"and \d+ more$")
COLUMNS = {(service.name, column.name): column for service in services().values() for column in service.columns}
# A failure that the steady state has planned, and that Flask logs as any other.
_PLANNED = "oncerpc.wire.errors.InternalError"
_FELL_OVER = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(\S.*)$", re.M)


class TrialFailed(RuntimeError):
    """The trial gave no verdict; the message ends with what its process said last."""


class Stopped(Exception):
    """The hunt was told to stop before the trial had ended."""


@dataclass(frozen=True)
class Plan:
    """What to try. bug: None is the control. without: checks that are taken off the harness. model, store: of the
    servers.
    """

    scenario: str
    column: str
    seed: int
    bug: str | None = None
    calls: int = 25
    without: tuple[str, ...] = ()
    model: str = Serving.model
    service: str = Serving.service
    store: str = Serving.store

    @property
    def cell(self) -> str:
        where = self.store if self.store != Serving.store else self.service
        return f"{self.scenario} × {self.column}{f' ({where})' if where != Serving.service else ''}"


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


def run(plan: Plan, folder: Path, stop: threading.Event | None = None) -> Trial:
    """Try it in a process of its own; evidence goes to `folder`. Raises TrialFailed, and Stopped once `stop` is set."""
    stop = stop or threading.Event()
    if stop.is_set():
        raise Stopped()
    folder = folder.absolute()
    folder.mkdir(parents=True)
    with (folder / "trial.json").open("wb") as answer, (folder / "trial.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.bugs.trial", *_words(plan, folder)]
        with subprocess.Popen(command, stdout=answer, stderr=log, cwd=ROOT) as process:
            try:
                _wait(process, plan, stop)
            finally:
                _end(process)
    if process.returncode and stop.is_set():  # Ctrl-C reaches the trial as well, and it may be the first to end
        raise Stopped()
    if process.returncode:
        raise TrialFailed(f"{plan.cell}: {(folder / 'trial.log').read_text()[-1500:]}")
    found: dict[str, Any] = json.loads((folder / "trial.json").read_bytes())
    found["caught"] = [Caught(**caught) for caught in found["caught"]]
    return Trial(**found)


def _words(plan: Plan, folder: Path) -> list[str]:
    """The plan, as the process's own side reads it."""
    words = [plan.scenario, plan.column, "--seed", str(plan.seed), "--calls", str(plan.calls)]
    words += ["--model", plan.model, "--service", plan.service, "--store", plan.store, "--out", str(folder)]
    words += ["--bug", plan.bug] if plan.bug else []
    for check in plan.without:
        words += ["--without", check]
    return words


def stop_at_signals() -> threading.Event:
    """Set by SIGINT and by SIGTERM from now on, instead of what these do else."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _wait(process: subprocess.Popen[bytes], plan: Plan, stop: threading.Event) -> None:
    end_s = time.monotonic() + TRIAL_MAX_S
    while process.poll() is None:
        if stop.wait(POLL_S):
            raise Stopped()
        if time.monotonic() > end_s:
            raise TrialFailed(f"{plan.cell}: no end within {TRIAL_MAX_S:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """It is asked first, for it ends its servers and clients itself."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(END_MAX_S)
    except subprocess.TimeoutExpired:
        process.kill()


def main(argv: Sequence[str] | None = None) -> int:
    """The process's own side."""
    stop = stop_at_signals()
    parser = argparse.ArgumentParser(prog="python -m tests.bugs.trial", description=__doc__)
    parser.add_argument("scenario", choices=scenarios())
    parser.add_argument("column", choices={column for _, column in COLUMNS})
    parser.add_argument("--service", choices=services(), default=Serving.service)
    parser.add_argument("--store", choices=[Serving.store, *SHARED], default=Serving.store)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--model", choices=MODELS, default=Serving.model)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bug")
    parser.add_argument("--without", action="append", choices=CHECKS, default=[])
    args = parser.parse_args(argv)
    bug = load(args.bug) if args.bug else None
    with contextlib.ExitStack() as stack:
        for check in args.without:
            stack.enter_context(BLIND[check]())
        cell = _measure(bug, args, stop)
    if stop.is_set():
        return 130
    print(json.dumps(asdict(_trial(cell, args.out))))
    return 0


def _measure(bug: Bug | None, args: argparse.Namespace, stop: threading.Event) -> Cell:
    column, effort = COLUMNS[args.service, args.column], CellEffort(args.seed, calls=args.calls)
    in_server = bug is not None and bug.side != "client"
    database = "sqlite" if args.service == "bank" else ""
    serving = Serving(args.model, service=args.service, database=database, store=args.store)
    with (
        contextlib.closing(LocalRuntime(args.out, serving, command=_command(bug))) as runtime,
        _in_clients(None if in_server else bug),
    ):
        return run_cell(runtime, Task(scenarios()[args.scenario], column, effort), args.out, stop)


def _command(bug: Bug | None) -> list[str]:
    """How a server with the bug is started; empty: as one without."""
    if bug is None or bug.side == "client":
        return []
    if bug.side == "library":
        return [f"tests.bugs.serve_bank:planted('{bug.name}')"]
    return [sys.executable, "-m", "tests.bugs.serve", bug.name]


@contextlib.contextmanager
def _in_clients(bug: Bug | None) -> Iterator[None]:
    """The bug in the clients: those of this process, and those that are processes of their own."""
    if bug is None:
        yield
        return
    with bug.plant(), replaced(ClientProcess, command=(sys.executable, "-m", "tests.bugs.client_process", bug.name)):
        yield


def _trial(cell: Cell, folder: Path) -> Trial:
    return Trial(cell.problems, _catches(cell), cell.violated_after, cell.calls, _crash(folder))


def _catches(cell: Cell) -> list[Caught]:
    """The checks that found something wrong, each with its first finding: the judge speaks of calls by their names."""
    found: dict[str, str] = {}
    for words in cell.violations:
        if _OF_THE_SAME.match(words):
            continue
        found.setdefault("judge" if _OF_A_CALL.match(words) else "checker", words)
    if cell.unsteady:
        found["steady state"] = cell.unsteady[0]
    return [Caught(check, words) for check, words in found.items()]


def _crash(folder: Path) -> str:
    """The last line of a traceback in a server's log: a bug that falls over was not planted well."""
    for log in folder.rglob("*-server.log"):
        text = log.read_text(encoding="utf-8", errors="replace")
        for last in _FELL_OVER.findall(text):
            if not last.startswith(_PLANNED):
                return str(last)
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
