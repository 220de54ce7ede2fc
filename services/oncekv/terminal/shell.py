"""`oncekv shell`: calls by hand, each with its attempts; `retry` sends the last one again under the same identity.

    oncekv> kv.append key=log value=x           oncekv> retry
    {"version":1,"offset":0}                    {"version":1,"offset":0}
      1. http://127.0.0.1:8000/rpc: ok after…     2. http://127.0.0.1:8000/rpc: ok (replayed) after…

On a terminal with history and completion (`line_editing`); from a pipe the same without a prompt, where a line that
cannot be understood ends it, and the exit code is the worst that a call came to.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from oncekv.terminal.calls import CallFailed, Calls, Shown, WrongLine
from oncekv.terminal.last_request import LastRequest
from oncekv.terminal.line_editing import LineEditing
from oncekv.terminal.paint import Paint
from oncerpc.client.api.command_words import TIMEOUT_S, add_client_options, read_token, words_of
from oncerpc.client.api.stub import Client
from oncerpc.client.retry.retry_loop import Environment
from oncerpc.client.semantics import Semantics
from oncerpc.client.session.outbox import OutboxError
from oncerpc.client.tracing import client_tracing
from oncerpc.client.transport.binding import BindingError
from oncerpc.client.transport.http import HttpTransport

__all__ = ["configure", "run"]

OK, ERROR, USAGE, UNKNOWN = 0, 1, 2, 3

HELP = """\
METHOD key=value …    make a call, as `oncekv call` does; quotes as in a shell
retry                 send the last call once more, under the same identity
semantics [NAME]      which promise further calls have, or choose one: maybe, at-least-once, at-most-once, exactly-once
methods               the methods of this server, with their params
help, exit            this; the end (as Ctrl-D)"""

EXAMPLES = """\
examples:
  oncekv shell --server http://127.0.0.1:8000
  printf 'kv.append key=log value=x\\nretry\\n' | oncekv shell --server http://127.0.0.1:8000 --json

exit: on a terminal 0; from a pipe the worst of its calls, 0 ok, 1 definite error, 3 unknown; 2 at a line that cannot be
understood, and what follows it is not done.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Calls by hand, with history, completion and every attempt; retry sends the last one again."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add_client_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a call: outcome, result, attempts")
    parser.add_argument(
        "--history",
        metavar="FILE",
        default="~/.oncekv_history",
        help="what was typed on a terminal, readable by you alone (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Read lines until they end; the exit code."""
    transport = LastRequest(HttpTransport(len(args.server)))
    environment = Environment(transport, time.monotonic, time.sleep, random.Random().uniform, tracing=client_tracing())
    try:
        if args.semantics == Semantics.EXACTLY_ONCE and args.session_file is None:
            raise ValueError("--semantics exactly-once needs --session-file, to remember its calls until they are done")
        client = Client.connect(
            args.server,
            semantics=args.semantics,
            links=args.links,
            client=args.client,
            token=read_token(args.token_file),
            outbox=args.session_file,
            resume=False,
            environment=environment,
        )
    except OutboxError as error:
        return _say(str(error), ERROR)
    except (BindingError, ValueError) as error:
        return _say(str(error), USAGE)
    with client:
        for found in client.resume(args.timeout or TIMEOUT_S) if client.unanswered else ():
            _say(f"finished from the session file: {found.method}: {words_of(found.outcome)}", OK)
        return _Shell(Calls(client, transport, args.semantics, args.timeout), args).run()


class _Shell:
    """Lines in, answers out."""

    def __init__(self, calls: Calls, args: argparse.Namespace) -> None:
        self._calls = calls
        self._is_json = args.json
        self._paint = Paint(sys.stdout)
        self._is_watched = sys.stdin.isatty()
        self._history = Path(os.path.expanduser(args.history))  # Path.expanduser raises without a home
        self._worst = OK

    def run(self) -> int:
        for line in self._lines():
            try:
                if not self._do(line):
                    break
            except WrongLine as wrong:
                _say(str(wrong), USAGE)
                if not self._is_watched:
                    return USAGE
            except CallFailed as failed:
                self._worst = max(self._worst, ERROR)
                _say(str(failed), ERROR)
            except KeyboardInterrupt:
                if not self._is_watched:
                    raise
                _say("interrupted; nobody can tell whether it ran: `retry` asks again", UNKNOWN)
        return OK if self._is_watched else self._worst

    def _lines(self) -> Iterator[str]:
        if not self._is_watched:
            yield from sys.stdin
            return
        with LineEditing(self._history, self._calls.completions) as lines:
            yield from lines

    def _do(self, line: str) -> bool:
        """Do what a line says; False at the end."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise WrongLine(f"{error} in: {line.strip()}") from None
        match words:
            case []:
                pass
            case ["exit" | "quit"]:
                return False
            case ["help" | "?"]:
                print(HELP)
            case ["methods"]:
                self._show_methods()
            case ["semantics", *names] if len(names) < 2:
                self._show_semantics(self._calls.choose(*names))
            case ["retry"]:
                self._show(self._calls.retry())
            case ["retry" | "semantics" | "methods" | "help" | "exit" | "quit", *_]:
                raise WrongLine(f"{words[0]} is not followed by {words[-1]!r}; see help")
            case [method, *params]:
                self._show(self._calls.call(method, params))
        sys.stdout.flush()
        return True

    def _show_semantics(self, name: str) -> None:
        print(json.dumps({"semantics": name}) if self._is_json else name)

    def _show_methods(self) -> None:
        if self._is_json:
            print(json.dumps({"methods": {name: list(params) for name, params in self._calls.methods().items()}}))
            return
        for name, params in self._calls.methods().items():
            print(self._paint("bold", name), " ".join(f"{param}=" for param in params))

    def _show(self, shown: Shown) -> None:
        self._worst = max(self._worst, {"ok": OK, "failed": ERROR, "unknown": UNKNOWN}[shown.outcome])
        if self._is_json:
            print(shown.as_json())
            return
        colour = {"ok": "green", "failed": "red", "unknown": "yellow"}[shown.outcome]
        print(self._paint(colour, shown.text))
        for attempt in shown.attempts:
            print(" ", self._paint("cyan" if "(replayed)" in attempt.result else "dim", str(attempt)))
        if shown.note:
            print(" ", self._paint("yellow", shown.note))


def _say(line: str, code: int) -> int:
    print(f"oncekv shell: {line}", file=sys.stderr)
    return code
