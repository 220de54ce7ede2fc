"""`python -m chaos soak`: run one, print its tables, write its evidence and its plot; or show an earlier one again.

Exit code 0: every promise kept, no figure grew. 1: not so. 69: the servers or links could not be started.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chaos.runtime.base import ServerError
from chaos.runtime.toxiproxy import ToxiproxyFailed, ToxiproxyMissing
from chaos.soak.plot import draw
from chaos.soak.run import SUMMARY, Soak, SoakRecord, read
from chaos.soak.table import render, troubles
from chaos.soak.world import STORES, World, store_at_hand
from oncekv import console

__all__ = ["configure", "run"]

OUT = Path("out/soak")
TABLE, PLOT = "soak.md", "soak.svg"


def configure(parser: argparse.ArgumentParser) -> None:
    """Its words."""
    parser.add_argument("--minutes", type=float, default=60.0, metavar="M", help="how long (default: 60)")
    parser.add_argument("--store", choices=STORES, help="default: postgres, where its programs are; else sqlite")
    parser.add_argument("--rate", type=float, default=40.0, metavar="N", help="calls a second, about (default: 40)")
    parser.add_argument("--pause", type=float, default=6.0, metavar="S", help="between two faults, about (default: 6)")
    parser.add_argument("--seed", type=int, default=1, help="of calls and faults (default: 1)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where all goes (default: {OUT})")
    parser.add_argument("--beside", default="", metavar="WORDS", help="what else the machine does, for the record")
    parser.add_argument("--show", action="store_true", help="no new run: judge and draw the one that DIR has")


def run(args: argparse.Namespace) -> int:
    """The exit code."""
    if not args.show and (code := _measure(args)):
        return code
    try:
        record, samples, faults = read(args.out)
    except (OSError, msgspec.DecodeError) as error:
        _say(f"there is no soak in {args.out}: {error}")
        return console.USAGE
    found = troubles(record, samples, faults)
    (args.out / PLOT).write_text(draw(samples, faults), encoding="utf-8")
    text = "\n".join([_head(record), "", render(record, samples, faults), "", *(f"- {line}" for line in found)])
    (args.out / TABLE).write_text(text.rstrip() + "\n", encoding="utf-8")
    print(text)
    verdict = "THE SOAK FAILED" if found else "every promise kept, no figure grew"
    print(f"{verdict}; evidence and plot in {args.out}/")
    return 1 if found else 0


def _measure(args: argparse.Namespace) -> int:
    if args.out.exists() and not (args.out / SUMMARY).is_file() and any(args.out.iterdir()):
        _say(f"{args.out} is not an earlier soak; name another --out")
        return console.USAGE
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    store = args.store or store_at_hand()
    began = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    record = SoakRecord(began, args.minutes, args.seed, store, args.rate, args.pause, beside=args.beside)
    _say(f"soak: {args.minutes:g} minutes on {store}, seed {args.seed}; evidence in {args.out}/")
    try:
        with World(args.out, store, Soak.clients()) as world:
            soak = Soak(world, record, args.out, _say)
            try:
                soak.run(interrupted)
            finally:
                soak.write_record()
    except (ToxiproxyMissing, ToxiproxyFailed, ServerError) as error:
        _say(str(error))
        return console.UNAVAILABLE
    return 0


def _head(record: SoakRecord) -> str:
    beside = f", beside {record.beside}" if record.beside else ""
    return (
        f"{record.ran_s / 60:.1f} minutes from {record.began} on, two servers on {record.store}, about "
        f"{record.rate:g} calls a second, seed {record.seed}{beside}."
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
