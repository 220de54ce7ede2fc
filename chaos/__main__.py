"""`python -m chaos`: break it on purpose, and say what each semantics kept of its promise.

Exit code 0: every promise kept, every control red, every fault fired. 1: not so. 2: wrong usage. 69: the runtime could
not be started, and nothing was measured. 70: a defect of ours. 74: the answer could not be written (`oncekv.console`).
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from chaos.evidence import MAY_BREAK, MUST_BREAK
from chaos.judging import check_command, report_command
from chaos.judging.cell_verdict import Cell
from chaos.judging.table import details, grid, in_words, inconclusive, troubles, write_table
from chaos.live import options as live_options
from chaos.runner import options
from chaos.runner.cell import CellEffort, Task
from chaos.runner.environment import Environment, Interrupted
from chaos.runner.matrix import FolderTaken, run_matrix
from chaos.runtime.base import ServerError, Serving
from chaos.runtime.stores import SHARED
from chaos.runtime.toxiproxy import ToxiproxyFailed, ToxiproxyMissing
from chaos.scenarios import scenarios
from chaos.scenarios.base import Scenario
from chaos.services import services
from chaos.services.base import Column
from chaos.soak import command as soak
from chaos.workload import demo_client
from oncekv import console

KEPT_MAX_S = 24 * 3600.0
_KV_SERVING = (Serving.model, Serving.workers)
EXAMPLES = """\
  python -m chaos list
  python -m chaos run lost-reply                             one fault, every semantics
  python -m chaos run crash-after-commit --semantics at-most-once --seed 7
  python -m chaos run lost-reply --semantics maybe --keep    and look at the server afterwards
  python -m chaos matrix --out out/all                       the whole table
  python -m chaos matrix --model threads                     the same promises, kept by a thread for each request
  python -m chaos run crash-after-commit --service bank      the library's example service, on its own database
  python -m chaos matrix --service bank --database postgresql
  python -m chaos run server-dies-for-good --store postgres  a retry is answered by another server on the same store
  python -m chaos soak --minutes 5                           does anything grow, is anything lost
  python -m chaos check out/all/bank--maybe/history.jsonl    one history against the model
  python -m chaos report out/all                             judge it all again, from the files alone
"""
EXITS = """
exit: 0 every promise kept, every control red, every fault fired; 1 not so; 2 wrong usage; 69 the runtime could not be
started; 70 a defect of ours; 74 the answer could not be written; 130 interrupted. `check` and `report` have more.
"""
LEGEND = """\
kept: what the callers were told and what the store holds agree with the semantics' promise. doubled: calls that ran
more than once. unknown: calls whose client said that it cannot tell. promise: what must become of it; a cell that must
break is a control, one that may break a control that the fault need not hit. The memory column is one: its server
keeps dedup records in memory only. At-least-once is one too: it promises that an answered
call ran at least once, not that it ran only once."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    args = _parser().parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    others = {
        "list": _list,
        "check": check_command.run,
        "client": _client,
        "report": report_command.run,
        "live": _live,
        "soak": soak.run,
    }
    if args.command in others:
        return others[args.command](args)
    try:
        return _measure(args, _tasks(args))
    except ValueError as error:
        _say(str(error))
        return 2


def _tasks(args: argparse.Namespace) -> list[Task]:
    """The cells that are asked for. Raises ValueError when they cannot be had."""
    service = services()[args.service]
    columns = service.columns
    is_shared = _serving(args).is_shared
    rows = [row for row in scenarios().values() if row.runs_on(args.runtime, args.store)]
    rows = [row.on_shared_store() if is_shared else row for row in rows if service.can_have(row.name)]
    _check_service(args)
    if args.command == "run":
        rows = [row for row in rows if row.name == args.scenario]
        if not rows:
            needed = scenarios()[args.scenario]
            stores = [f"--store {' or '.join(_stores(needed))}"] if needed.needs_shared else []
            where = [f"--runtime {' or '.join(needed.runtimes)}"] if needed.runtimes else []
            raise ValueError(f"{needed.name} needs {' and '.join([*where, *stores])}")
        columns = [column for column in columns if args.semantics in (None, column.name)]
        if not columns:
            raise ValueError(f"--service {service.name} has --semantics {_names(service.columns)}")
        if args.keep and len(columns) > 1:
            raise ValueError("--keep needs one --semantics: what is kept is one server and its links")
    elif args.quick:
        rows = [row for row in rows if row.quick]
    effort = CellEffort(args.seed, args.clients, args.calls)
    return [Task(row, column, effort) for row in rows for column in columns]


def _check_service(args: argparse.Namespace) -> None:
    """Raises ValueError, in one line, for what the service cannot have."""
    service = services()[args.service]
    if _serving(args).is_shared and service.name != "kv":
        raise ValueError(f"--store {args.store} is had by the key/value service alone")
    if args.database and args.database not in service.databases:
        raise ValueError(f"--service {service.name} has no --database {args.database}")
    if args.command == "run" and not service.can_have(args.scenario):
        can = ", ".join(name for name in scenarios() if service.can_have(name))
        raise ValueError(f"{args.scenario} makes no sense with --service {service.name}, which can have: {can}")
    if service.name != "kv" and (args.runtime != "local" or (args.model, args.workers) != _KV_SERVING):
        raise ValueError(f"--service {service.name} is run by gunicorn, locally: no --runtime, --model or --workers")


def _stores(scenario: Scenario) -> list[str]:
    """Those that can have a scenario which needs one that servers share."""
    return [name for name in SHARED if not scenario.stores or name in scenario.stores]


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)


def _client(args: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return demo_client.run(args, stop)


def _live(args: argparse.Namespace) -> int:
    """The live page, made here, where what it needs is wanted."""
    from chaos.live import command

    return command.run(args)


def _measure(args: argparse.Namespace, tasks: Sequence[Task]) -> int:
    folder = args.out or Path("out", f"{args.command}-{datetime.now():%Y%m%d-%H%M%S}")
    repeat = _repeat(args)
    where = f"runtime {args.runtime}, " + _serving_in_words(_serving(args))
    cells_in_words = f"{len(tasks)} cell{'s' if len(tasks) > 1 else ''} on {where}"
    _say(f"seed {args.seed}; {cells_in_words}; evidence in {folder}/; again: {repeat}")
    told = _say if args.command == "run" else lambda _line: None
    keep = _keep if getattr(args, "keep", False) else lambda _env: None
    try:
        cells = run_matrix(args.runtime, tasks, folder, repeat, _progress, told, keep, _serving(args))
    except FolderTaken as error:
        _say(str(error))
        return console.USAGE
    except (ToxiproxyMissing, ToxiproxyFailed, ServerError) as error:
        _say(str(error))
        return console.UNAVAILABLE
    except KeyboardInterrupt:
        _report(folder)
        _say(f"interrupted; what was measured so far is in {folder}/, and nothing is left running; again: {repeat}")
        return 130
    good = all(cell.good for cell in cells)
    _print(cells, folder, good=good)
    _report(folder)
    _say(f"again: {repeat}")
    return 0 if good else 1


def _serving(args: argparse.Namespace) -> Serving:
    databases = services()[args.service].databases
    return Serving(args.model, args.workers, args.service, args.database or next(iter(databases), ""), args.store)


def _serving_in_words(serving: Serving) -> str:
    if serving.service != "kv":
        return f"service {serving.service} on {serving.database}"
    store = f", store {serving.store}" if serving.is_shared else ""
    return f"model {serving.model}{f' × {serving.workers}' if serving.workers > 1 else ''}{store}"


def _report(folder: Path) -> None:
    """The page for people, made here, where its libraries are wanted; in the containers they are not."""
    try:
        from chaos.report.page import write_report
    except ModuleNotFoundError as error:
        _say(f"no report: {error.name} is not installed here; `python -m chaos report {folder}` writes it where it is")
        return
    _say(f"report: {write_report(folder)}")


def _repeat(args: argparse.Namespace) -> str:
    """The command that does the same again."""
    words = [args.command]
    if args.command == "run":
        words += [args.scenario, *(["--semantics", args.semantics] if args.semantics else [])]
    elif args.quick:
        words.append("--quick")
    words += [] if args.runtime == "local" else ["--runtime", args.runtime]
    words += _serving(args).words
    return f"python -m chaos {' '.join(words)} --seed {args.seed} --clients {args.clients} --calls {args.calls}"


def _keep(env: Environment) -> None:
    """Leave server and links up until Ctrl-C, for a person to look at."""
    _say(f"kept: server {env.server.url}, links {' '.join(link.url for link in env.links)}; Ctrl-C ends them")
    with contextlib.suppress(Interrupted):
        env.wait(KEPT_MAX_S)


def _print(cells: Sequence[Cell], folder: Path, *, good: bool) -> None:
    write_table(folder, cells)
    print(details(cells))
    print()
    print(grid(cells, colours=sys.stdout.isatty()))
    print()
    print(LEGEND)
    print()
    for line in [*inconclusive(cells), *troubles(cells)]:
        print(line)
    verdict = "every promise kept that can be, every control red, every fault fired" if good else "THE RUN FAILED"
    print(f"{verdict}; evidence in {folder}/")


def _list(_args: argparse.Namespace) -> int:
    kv = services()["kv"]
    for scenario in scenarios().values():
        print(f"{scenario.name}\n    {' '.join(scenario.teaches.split())}")
        if scenario.needs_shared:
            print(f"    on --store {' or '.join(_stores(scenario))} alone")
        for promise in (MUST_BREAK, MAY_BREAK):
            if columns := [column.name for column in kv.columns if scenario.promise(column.name) == promise]:
                print(f"    {promise}: {', '.join(columns)}")
    return 0


def _progress(cell: Cell, done: int, total: int) -> None:
    outcome = "; ".join(cell.problems) or in_words(cell)
    if cell.inconclusive:
        outcome += f", at try {len(cell.inconclusive) + 1}"
    _say(f"[{done:2}/{total}] {cell.scenario} x {cell.column}: {outcome} (fired {cell.fired}, {cell.took_s:.1f} s)")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: object) -> None:
    """The first Ctrl-C, or SIGTERM, ends the run; what cleans up after it is not to be interrupted by a second."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _say("ending; this takes a few seconds"))
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = console.Parser(
        prog="python -m chaos",
        description="Break a real server and real links on purpose, and judge what came out.",
        epilog=EXAMPLES + EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="list | run | matrix | live | soak | check | report | client"
    )
    commands.add_parser("list", help="the scenarios, and what each teaches")
    options.configure_run(commands.add_parser("run", help="one scenario against every semantics, or one"))
    demo_client.configure(commands.add_parser("client", help="one client to watch, as `docker compose up` runs two"))
    options.configure_matrix(commands.add_parser("matrix", help="every scenario against every semantics"))
    live_options.configure(commands.add_parser("live", help="watch calls, break them, step through them, on a page"))
    soak.configure(commands.add_parser("soak", help="a mixed load for an hour, faults at random, and what it left"))
    check_command.configure(commands.add_parser("check", help="whether a recorded history is linearizable"))
    report_command.configure(commands.add_parser("report", help="judge a run again, from its files alone"))
    return parser


if __name__ == "__main__":
    sys.exit(console.run("python -m chaos", main))
