"""`python -m chaos`: break it on purpose, and say what each semantics kept of its promise.

Exit code 0: every promise kept, every control red, every fault fired. 1: not so. 2: wrong usage.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from chaos import check, client
from chaos.cell import COLUMNS, Cell, Column, Effort
from chaos.matrix import FolderTaken, Run, run_matrix
from chaos.runtime import runtimes
from chaos.runtime.base import ServerError
from chaos.scenarios import scenarios
from chaos.scenarios.base import Scenario
from chaos.table import details, grid, in_words
from chaos.toxiproxy import ToxiproxyFailed, ToxiproxyMissing

EXAMPLES = """\
  python -m chaos list
  python -m chaos run lost-reply                             one fault, every semantics
  python -m chaos run crash-after-commit --semantics at-most-once --seed 7
  python -m chaos matrix --out out/demo                      the whole table
"""
LEGEND = """\
kept: what the callers were told and what the store holds agree with the semantics' promise. doubled: calls that ran
more than once. unknown: calls whose client said that it cannot tell. The memory column is a control: its server keeps
dedup records in memory only. At-least-once is one too: it promises no more than once or more."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    args = _parser().parse_args(argv)
    if args.command == "list":
        return _list()
    if args.command == "client":
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        return client.run(args, stop)
    if args.command == "check":
        return check.run(args)
    signal.signal(signal.SIGTERM, _interrupt)  # SIGTERM cleans up as Ctrl-C does
    rows = [row for row in scenarios().values() if row.runs_on(args.runtime)]
    columns: Sequence[Column] = COLUMNS
    if args.command == "run":
        rows = [row for row in rows if row.name == args.scenario]
        if not rows:
            _say(f"{args.scenario} needs --runtime {' or '.join(scenarios()[args.scenario].runtimes)}")
            return 2
        columns = [column for column in COLUMNS if args.semantics in (None, column.name)]
    return _measure(args, rows, columns)


def _measure(args: argparse.Namespace, rows: Sequence[Scenario], columns: Sequence[Column]) -> int:
    effort = Effort(args.seed, args.clients, args.calls)
    folder = args.out or Path("out", f"{args.command}-{datetime.now():%Y%m%d-%H%M%S}")
    _say(f"seed {effort.seed}; {len(rows) * len(columns)} cells on runtime {args.runtime}; evidence in {folder}/")
    try:
        run = run_matrix(args.runtime, rows, columns, effort, folder, _progress)
    except (FolderTaken, ToxiproxyMissing, ToxiproxyFailed, ServerError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say(f"interrupted; what was measured so far is in {folder}/matrix.json, and nothing is left running")
        return 130
    _print(run, folder)
    return 0 if run.good else 1


def _print(run: Run, folder: Path) -> None:
    (folder / "table.md").write_text(f"{grid(run.cells, colours=False)}\n\n{details(run.cells)}\n", encoding="utf-8")
    print(details(run.cells))
    print()
    print(grid(run.cells, colours=sys.stdout.isatty()))
    print()
    print(LEGEND)
    print()
    for cell in run.cells:
        for problem in cell.problems:
            print(f"PROBLEM {cell.scenario} x {cell.column}: {problem} {'; '.join(cell.violations)}")
    verdict = "every promise kept that can be, every control red, every fault fired" if run.good else "THE RUN FAILED"
    print(f"{verdict}; evidence in {folder}/")


def _list() -> int:
    for scenario in scenarios().values():
        print(f"{scenario.name}\n    {' '.join(scenario.lecture.split())}")
    return 0


def _progress(cell: Cell, done: int, total: int) -> None:
    outcome = "; ".join(cell.problems) or in_words(cell)
    _say(f"[{done:2}/{total}] {cell.scenario} x {cell.column}: {outcome} (fired {cell.fired}, {cell.took_s:.1f} s)")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m chaos",
        description="Break a real server and real links on purpose, and judge what came out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | run | matrix | check | client")
    commands.add_parser("list", help="the scenarios, and what the lecture says about each")
    run = commands.add_parser("run", help="one scenario against every semantics, or one")
    run.add_argument("scenario", choices=list(scenarios()), metavar="SCENARIO", help="a name from `list`")
    run.add_argument("--semantics", choices=[column.name for column in COLUMNS], help="one column alone")
    check.configure(commands.add_parser("check", help="is a recorded history linearizable?"))
    client.configure(commands.add_parser("client", help="one client to watch, as `docker compose up` runs two"))
    matrix = commands.add_parser("matrix", help="every scenario against every semantics")
    for command in (run, matrix):
        command.add_argument("--runtime", choices=runtimes(), default="local", help="where the servers run")
        command.add_argument(
            "--seed", type=int, default=random.randrange(10**6), help="repeat a run; drawn if left out"
        )
        command.add_argument("--clients", type=_positive, default=Effort.clients, metavar="N")
        command.add_argument("--calls", type=_positive, default=Effort.calls, metavar="N", help="of each client")
        command.add_argument("--out", type=Path, metavar="DIR", help="where the evidence goes (default: out/…)")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
