"""`python -m chaos check HISTORY.jsonl`: is this history linearizable? The checker's file and clock.

Exit code 0: it is. 1: it is not, and the output says where and why. 3: unknown, out of time or memory, which is never
a pass. 4: nothing to judge: no operation in it was told ok, which is not a pass either. 2: wrong usage, or the file is
not a history of that model; one line on stderr says which. 74: the verdict could not be written (`oncekv.console`).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from chaos.judging.checker import HistoryError, Verdict, check, models, parse, report
from chaos.judging.checker.linearizability import CONFIGURATIONS_MAX, TIMEOUT_S
from chaos.judging.checker.models.base import Model

__all__ = ["configure", "run"]

EXIT_CODES = {True: 0, False: 1, None: 3}
NOTHING = 4
PROGRESS_EVERY_S = 0.2


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Is there an order of all operations, one at a time, that explains every reply? Exit code 0: linearizable,"
        " 1: not, 3: unknown (out of time or memory), 4: nothing to judge (no operation was told ok), 2: wrong usage or"
        " not a history, 74: the verdict could not be written. Only 0 is a pass."
    )
    known = models()
    add = parser.add_argument
    add("history", type=Path, metavar="HISTORY.jsonl", help="JSON Lines, one event a line, in real-time order")
    add(
        "--model",
        choices=list(known),
        default="kv",
        help="; ".join(f"{name}: {model.summary}" for name, model in known.items()) + " (default: kv)",
    )
    add(
        "--timeout",
        type=_seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="then the verdict is unknown (default: %(default)g)",
    )
    add(
        "--configurations-max",
        type=_number,
        default=CONFIGURATIONS_MAX,
        metavar="N",
        help="bounds the memory: how many states of one key's search are kept (default: %(default)d)",
    )


def run(args: argparse.Namespace) -> int:
    """Check the file and print the verdict; the exit code."""
    progress = _Progress()
    try:
        verdict = _check(args, progress)
    except OSError as error:
        return _refused(f"{args.history}: {error.strerror or error}")
    except HistoryError as error:
        return _refused(f"{args.history}: {error}")
    except MemoryError:  # before the bound on configurations was reached; a traceback would exit 1, which is a verdict
        progress.end()
        print("unknown: the memory is full; a smaller --configurations-max ends before that")
        return EXIT_CODES[None]
    except KeyboardInterrupt:
        progress.end()
        print("check: interrupted; no verdict", file=sys.stderr)
        return 130
    progress.end()
    print(report(verdict))
    return NOTHING if verdict.is_empty else EXIT_CODES[verdict.holds]


def _check(args: argparse.Namespace, progress: _Progress) -> Verdict:
    model = models()[args.model]
    with open(args.history, "rb") as lines:
        try:
            history = parse(lines, model)
        except HistoryError as error:
            raise HistoryError(error.line, error.problem + _better(args.history, model)) from None
    return check(
        history,
        model,
        time.monotonic,
        timeout_s=args.timeout,
        configurations_max=args.configurations_max,
        progress=progress,
    )


def _better(path: Path, tried: Model) -> str:
    """A hint, if the file is a history of another model."""
    for name, model in models().items():
        if model is not tried:
            try:
                with open(path, "rb") as lines:
                    parse(lines, model)
            except HistoryError:
                continue
            return f"; it is a history of another model, so try --model {name}"
    return ""


def _refused(problem: str) -> int:
    print(f"check: {problem}", file=sys.stderr)
    return 2


class _Progress:
    """One line on a terminal's stderr that is written over; nothing where nobody watches."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._next_s = time.monotonic() + PROGRESS_EVERY_S
        self._wrote = False

    def __call__(self, done: int, total: int, configurations: int) -> None:
        if self._shows and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + PROGRESS_EVERY_S
            self._wrote = True
            print(
                f"\r\x1b[Kcheck: {done} of {total} keys, {configurations} states", end="", file=sys.stderr, flush=True
            )

    def end(self) -> None:
        """Take the line away."""
        if self._wrote:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return number


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
