"""`oncekv call`: one call from a shell, ending as an exit code: 0 ok, 1 definite error, 2 wrong usage, 3 unknown.

Place on the way: around the stub (1). The result goes to stdout as JSON, everything else to stderr. With a session file
the next command first finishes the exactly-once calls that earlier ones left in it, and then makes a new call;
while one of them stays, it sends nothing of its own. Exit 1 is said only where the call surely had no effect.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from oncerpc.client.api.command_words import (
    TIMEOUT_S,
    add_client_options,
    kind_of,
    read_params,
    read_token,
    words_of,
)
from oncerpc.client.api.stub import Client
from oncerpc.client.outcome import Failed, Ok, Outcome
from oncerpc.client.semantics import Semantics, is_harmless
from oncerpc.client.session.outbox import OutboxError
from oncerpc.client.transport.binding import BindingError
from oncerpc.wire.errors import MethodNotFound

__all__ = ["INTERRUPTED", "ParamKinds", "configure", "run"]

ParamKinds = Callable[[str], Mapping[str, str] | None]
"""Method → param → "string" or "json"; None for a method that is not known here."""

OK, ERROR, USAGE, UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 130

EXAMPLES = """\
examples:
  oncekv call kv.append key=k value=x --server http://127.0.0.1:8000
  oncekv call kv.increment key=n by=2 --server http://127.0.0.1:8000 --semantics maybe
  oncekv call kv.txn 'ops=[{"op": "get", "key": "k"}]' --server http://127.0.0.1:8000
  oncekv call kv.append key=k value=x --server kv-1=http://127.0.0.1:8000 --semantics exactly-once --session-file s

exit: 0 ok, 1 definite error (no effect), 2 wrong usage, 3 unknown (may have run; also where it ran for sure, and its
result could not be written, which stderr says), 130 interrupted.
The exactly-once calls that a session file holds are finished first, under their own identities. If one
stays within the timeout, an exactly-once call is kept behind it (exit 3), and any other is not sent (exit 1).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describes the command."""
    parser.description = "Call one method and print its result as JSON."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("method", metavar="METHOD", help="kv.get, kv.put, kv.append, ... or a method of the service that is there")
    add("params", metavar="key=value", nargs="*", help="a string, or JSON where the method's param is not a string")
    add_client_options(parser)


def run(args: argparse.Namespace) -> int:
    """Makes the call; the exit code. `args.param_kinds` (ParamKinds) says which params are not strings."""
    semantics = Semantics(args.semantics)
    try:
        args.method.encode()  # raises for what no JSON can hold
        kinds = args.param_kinds(args.method)
        params = read_params(args.params, kinds or {})
        client = _client(args, semantics)
    except OutboxError as error:
        return _say(str(error), ERROR)
    except (BindingError, ValueError, OverflowError) as error:
        return _say(str(error), USAGE)
    code: int | None = None
    try:
        with client:
            if kinds is None and params:
                kinds = _kinds_at(client, args.method, args.timeout or TIMEOUT_S)
                params = read_params(args.params, kinds)
            code = _call(client, args.method, params, semantics, args.timeout)
    except _NotAsked as error:
        return _say(f"not sent: {error}", ERROR)
    except ValueError as error:
        return _say(str(error), USAGE if code is None else code)
    except KeyboardInterrupt:
        is_kept = semantics is Semantics.EXACTLY_ONCE
        rest = "the session file keeps the call" if is_kept else "nobody can tell whether the call ran"
        return _say(f"interrupted; {rest}", INTERRUPTED)
    except Exception as error:  # a traceback's exit code is 1, which says that there is no effect
        return _say(_line(error), ERROR if code is None else code)
    return code


class _NotAsked(Exception):
    """The server of an unknown method did not say which of its params are strings."""


def _kinds_at(client: Client, method: str, timeout_s: float) -> dict[str, str]:
    """What the server's `rpc.discover` says of the params of a method that is not known here."""
    outcome = client.outcome("rpc.discover", semantics=Semantics.AT_LEAST_ONCE, timeout_s=timeout_s)
    if isinstance(outcome, Failed) and isinstance(outcome.error, MethodNotFound):
        return {}
    if not isinstance(outcome, Ok):
        raise _NotAsked(f"which params of {method} are strings could not be asked: {words_of(outcome)}")
    found = [one for one in outcome.result.get("methods", ()) if one.get("name") == method]
    return {one["name"]: kind_of(one.get("schema", {})) for one in (found[0].get("params", ()) if found else ())}


def _client(args: argparse.Namespace, semantics: Semantics) -> Client:
    if semantics is Semantics.EXACTLY_ONCE and args.session_file is None:
        raise ValueError("--semantics exactly-once needs --session-file, to remember the call until it is done")
    return Client.connect(
        args.server,
        semantics=semantics,
        links=args.links,
        client=args.client,
        token=read_token(args.token_file),
        outbox=args.session_file,
        resume=False,
    )


def _call(client: Client, method: str, params: dict[str, Any], semantics: Semantics, timeout_s: float | None) -> int:
    if timeout_s is None and semantics is not Semantics.EXACTLY_ONCE:
        timeout_s = TIMEOUT_S
    began_s = time.monotonic()
    if client.unanswered:
        _say("first finishing what the session file holds", OK)
        for found in client.resume(timeout_s):
            _say(f"  {found.method}: {words_of(found.outcome)}", OK)
        held = client.unanswered
        if held and not (semantics is Semantics.EXACTLY_ONCE and not is_harmless(method, params)):
            return _say(f"not sent: the session file still holds {held} unanswered calls", ERROR)
    left_s = None if timeout_s is None else max(0.0, timeout_s - (time.monotonic() - began_s))
    try:
        return _report(client.outcome(method, params, timeout_s=left_s))
    except OutboxError:
        raise  # only before the call was sent
    except Exception as error:  # nobody can tell any more whether it was sent
        return _say(f"unknown: {_line(error)}", UNKNOWN)


def _report(outcome: Outcome) -> int:
    if not isinstance(outcome, Ok):
        return _say(words_of(outcome), ERROR if isinstance(outcome, Failed) else UNKNOWN)
    try:
        _print(msgspec.json.encode(outcome.result) + b"\n")
    except Exception as error:  # a full disk, a closed pipe, no stdout at all: the effect is there
        return _say(f"the call ran, but its result cannot be printed: {_line(error)}", UNKNOWN)
    return OK


def _print(line: bytes) -> None:
    """Past Python's buffer: what is left in there would fail once more at exit, with an exit code of its own."""
    if sys.stdout is None:
        raise OSError("there is no stdout")
    while line:
        line = line[os.write(sys.stdout.fileno(), line) :]


def _say(line: str, code: int) -> int:
    with contextlib.suppress(Exception):  # stderr may be gone: the exit code still tells
        sys.stderr.write(f"oncekv call: {line}\n")
    return code


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()) if not isinstance(error, OutboxError) else str(error)
