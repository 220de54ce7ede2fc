"""`python -m bench`: the command line.

Exit code 0, whatever the figures are; 1 when nothing could be measured (no wrk, say), 74 when the table could not be
written to stdout (it is in its folder), 130 when it was interrupted: what was measured until then is kept, and nothing
is left running.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import concurrency
from bench.baselines.etcd import etcd_version
from bench.baselines.ports import BaselineFailed
from bench.baselines.postgresql_alone import OwnClientFailed, postgresql_version
from bench.effort import EFFORTS
from bench.load.rpc import RpcFailed
from bench.load.wrk import WrkFailed, WrkMissing, find_wrk
from bench.machine import facts, load_average, one_line
from bench.measures import MEASURES, SHARES
from bench.prefill import SchemaUnknown
from bench.progress import progress
from bench.report import plots
from bench.report.result_set import ResultSet
from bench.report.table import text
from bench.report.targets import results
from bench.run import Run
from chaos.runtime.base import ServerError
from chaos.runtime.etcd import EtcdMissing, find_etcd
from oncekv import console

_FAILURES = (WrkFailed, RpcFailed, ServerError, BaselineFailed, OwnClientFailed, SchemaUnknown)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    args = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # both end it as Ctrl-C does, whoever has started it
        signal.signal(number, signal.default_int_handler)
    out = args.out / args.what
    data = out / "data"
    shutil.rmtree(data, ignore_errors=True)
    try:
        data.mkdir(parents=True)
    except OSError as error:
        print(f"bench: cannot write to {out}: {error.strerror}; name another --out", file=sys.stderr)
        return console.USAGE
    try:
        find_wrk()
    except WrkMissing as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    run = Run(EFFORTS[args.effort], ResultSet(out / f"{args.what}.json", {"effort": args.effort, **facts(data)}), data)
    measures = _chosen(args)
    code = _measure(run, measures, _shares(args.what))
    run.result_set.whole = code == 0 and len(measures) == len(_all(args.what))
    run.result_set.facts["load_average"]["after"] = load_average()
    shutil.rmtree(data, ignore_errors=True)
    _report(run, args.what)
    return code


def _measure(run: Run, measures: Mapping[str, Callable[[Run], None]], shares: Mapping[str, float]) -> int:
    code = 0
    run.end_s = time.monotonic()
    # Where only some are asked for, they have the time of all.
    whole = sum(shares[name] for name in measures)
    try:
        for name, measure in measures.items():
            run.end_s += run.effort.time_max_s * shares[name] / whole
            try:
                if name in ("writes", "latency", "stores"):
                    _name_etcd(run)
                if name in ("library", "stores") and (found := postgresql_version()):
                    run.result_set.facts["versions"]["postgresql"] = found
                measure(run)
            except _FAILURES as error:
                progress(f"{name} could not be measured to its end: {error}")
                run.result_set.facts.setdefault("not_measured", {})[name] = str(error)
                code = 1
    except KeyboardInterrupt:
        progress("interrupted; what was measured is kept")
        code = 130
    return code


def _name_etcd(run: Run) -> None:
    try:
        run.result_set.facts["versions"]["etcd"] = etcd_version(find_etcd())
    except EtcdMissing as error:
        progress(f"no etcd: {error}")


def _report(run: Run, what: str) -> None:
    targets = results(run.result_set) if what == "bench" else []
    claims = concurrency.claims_text(run.result_set) if what == "concurrency" else ""
    table = text(run.result_set, targets, one_line(run.result_set.facts)) + claims
    folder = run.result_set.path.parent
    run.result_set.save(targets=targets)
    (folder / "table.md").write_text(table, encoding="utf-8")
    drawn = plots.draw(run.result_set, folder)
    print(table)
    progress(f"{folder}: {run.result_set.path.name}, table.md" + "".join(f", {path.name}" for path in drawn))


def _shares(what: str) -> Mapping[str, float]:
    return SHARES if what == "bench" else concurrency.SHARES


def _all(what: str) -> Mapping[str, Callable[[Run], None]]:
    return MEASURES if what == "bench" else concurrency.MEASURES


def _chosen(args: Any) -> Mapping[str, Callable[[Run], None]]:
    known = _all(args.what)
    return {name: known[name] for name in known if not args.only or name in args.only}


def _parser() -> argparse.ArgumentParser:
    parser = console.Parser(prog="python -m bench", description=(__doc__ or "").partition("\n\n")[2])
    add = parser.add_argument
    add("what", nargs="?", choices=("bench", "concurrency"), default="bench", help="which of the two benchmarks")
    add("--effort", choices=sorted(EFFORTS), default="full", help="full: below ten minutes, quick: below two")
    add("--only", nargs="+", metavar="NAME", choices=[*MEASURES, *concurrency.MEASURES], help="some measurements")
    add("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out, which gives out/bench/")
    return parser


if __name__ == "__main__":
    sys.exit(console.run("python -m bench", main))
