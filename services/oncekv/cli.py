"""The `oncekv` command: `serve` runs a server, `call` makes one call; each has its --help.

The one module that knows both sides: it tells `call`, which belongs to the client, the types of the server's params.
Wrong usage is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence

import oncekv
import oncekv.kv
from oncekv import console

__all__ = ["main"]

# Imported by name and only when asked for: `call` need not wait for what a server is made of.
_COMMANDS = {"serve": "oncekv.server.command", "call": "oncerpc.client.api.command"}

_HELP = """\
commands:
  serve    run a server:   oncekv serve --listen 127.0.0.1:8000 --store sqlite:////var/lib/oncekv/kv.db
  call     make one call:  oncekv call kv.append key=k value=x --server http://127.0.0.1:8000

`oncekv COMMAND --help` has the options.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code. Without `argv`, as the whole of this process (`console`)."""
    if argv is None:
        return console.run("oncekv", lambda: main(sys.argv[1:]))
    words = list(argv)
    top = console.Parser("oncekv", description=oncekv.__doc__, epilog=_HELP)
    top.formatter_class = argparse.RawDescriptionHelpFormatter
    top.add_argument("--version", action="version", version=f"oncekv {oncekv.__version__}")
    top.add_argument("command", choices=_COMMANDS, metavar="COMMAND", help="serve or call")
    name = top.parse_args(words[:1]).command
    command = importlib.import_module(_COMMANDS[name])
    parser = console.Parser(f"oncekv {name}")
    command.configure(parser)
    parser.set_defaults(param_kinds=_param_kinds)
    return int(command.run(parser.parse_intermixed_args(words[1:])))


def _param_kinds(method: str) -> Mapping[str, str] | None:
    """Which params of a method are strings; None for an unknown method."""
    methods = importlib.import_module("oncekv.kv.methods")
    kinds: Mapping[str, str] | None = methods.params_of(method)
    return kinds


if __name__ == "__main__":
    raise SystemExit(main())
