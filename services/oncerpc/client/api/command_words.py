"""What `oncekv call` and `oncekv shell` read and say: options, `key=value`, schemas, outcomes in a line."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from oncerpc.client.outcome import Failed, Ok, Outcome, error_of
from oncerpc.client.semantics import Semantics

__all__ = ["TIMEOUT_S", "add_client_options", "kind_of", "read_params", "read_token", "seconds", "words_of"]

TIMEOUT_S = 30.0


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Which server, which promise."""
    add = parser.add_argument
    add("--server", metavar="URL", action="append", required=True, help="URL, name=URL or service; again: another link")
    add("--links", metavar="FILE", help="where a service's name is looked up (default: $ONCEKV_LINKS)")
    add("--client", metavar="NAME", help="only this client's links to the service")
    add("--semantics", choices=[str(one) for one in Semantics], default=str(Semantics.AT_MOST_ONCE))
    add("--timeout", metavar="SECONDS", type=seconds, help="for the whole call (default: 30; exactly-once: none)")
    add("--session-file", metavar="FILE", help="the outbox: keeps unfinished exactly-once calls for the next command")
    add("--token-file", metavar="FILE", type=Path, help="its first line that is not empty is the bearer token")


def kind_of(schema: Mapping[str, Any]) -> str:
    """What a param is: "string" where its schema takes one, else "json"."""
    takes = [schema, *schema.get("anyOf", ())]
    is_string = any(
        one.get("type") == "string" or any(isinstance(word, str) for word in one.get("enum", ())) for one in takes
    )
    return "string" if is_string else "json"


def words_of(outcome: Outcome) -> str:
    """An outcome in a line."""
    if isinstance(outcome, Ok):
        return "ok (replayed)" if outcome.replayed else "ok"
    if isinstance(outcome, Failed):
        return f"{outcome.error.name}: {outcome.error.message}"
    return f"unknown: {error_of(outcome).message}"


def read_params(words: list[str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """The params that `key=value` words say; those that are no strings, by `kinds`, are JSON. Raises ValueError."""
    params: dict[str, Any] = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator or not name:
            raise ValueError(f"{word!r} is not key=value")
        if name == "_meta":
            raise ValueError("_meta is the client's own: the session file and --semantics decide on it")
        if name in params:
            raise ValueError(f"{name} is given twice")
        params[name] = _json(name, text) if kinds.get(name, "string") != "string" else text
    msgspec.json.encode(params)  # what no JSON can hold is wrong usage, and found before anything begins
    return params


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError(f"{name}={text} is not JSON, and {name} is not a string") from None


def read_token(path: Path | None) -> str | None:
    """The first line of a token file that is not empty. Raises ValueError."""
    if path is None:
        return None
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the token file {path}: {error}") from None
    token = next(filter(None, lines), None)
    if token is None:
        raise ValueError(f"the token file {path} holds no token; write one a line")
    return token


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    with contextlib.suppress(ValueError):
        number = float(text)
        if math.isfinite(number) and number > 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
