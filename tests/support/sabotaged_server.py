"""A server spoilt on purpose, as no option of the product allows: `python -m tests.support.sabotaged_server WHAT …
serve …`.

watch=MS    the watchdog's bound is MS milliseconds
block=MS    a call whose key is `block` sleeps MS milliseconds where its request is prepared: in its own thread
            under `--model threads`, on the loop itself under `--model event-loop`
sync=LEVEL  SQLite's `PRAGMA synchronous`: 1 is NORMAL, which leaves a commit to the operating system
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from oncekv import cli
from oncekv.server import command
from oncerpc.server.rpc.dispatcher import Dispatcher

__all__ = ["main", "spoilt"]


def spoilt(*what: str) -> list[str]:
    """The words to start such a server with, before `serve`."""
    return [sys.executable, "-m", "tests.support.sabotaged_server", *what]


def main(words: Sequence[str]) -> int:
    """Spoil this process, then be `oncekv`; its exit code."""
    rest = list(words)
    while "=" in rest[0]:
        name, _, number = rest.pop(0).partition("=")
        {"watch": _watch, "block": _block, "switch": _switch, "sync": _sync}[name](int(number))
    return cli.main(rest)


def _watch(bound_ms: int) -> None:
    real = command._config
    command._config = lambda args: replace(real(args), call_watch_ms=bound_ms)


def _switch(interval_us: int) -> None:
    sys.setswitchinterval(interval_us / 1e6)


def _sync(level: int) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(re.sub(r"(?<=synchronous = )\w+", str(level), sql), *parameters)

    sqlite3.connect = partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]  # on purpose


def _block(time_ms: int) -> None:
    real = Dispatcher._prepare

    def prepare(self: Dispatcher, request: Any, caller: Any) -> Any:
        if isinstance(request.params, dict) and request.params.get("key") == "block":
            time.sleep(time_ms / 1000)
        return real(self, request, caller)

    Dispatcher._prepare = prepare  # type: ignore[method-assign]  # on purpose


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
