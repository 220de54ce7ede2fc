"""The `oncekv` command: `serve` runs a server, `call` and `shell` make calls, others see to a store; --help tells more.

The one module that knows both sides: it tells `call`, which belongs to the client, the types of the server's params,
and `completion` what all commands take.
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

__all__ = ["COMMANDS", "main"]

# Imported by name and only when asked for: `call` need not wait for what a server is made of.
COMMANDS = {
    "serve": "oncekv.server.command",
    "call": "oncerpc.client.api.command",
    "migrate": "oncekv.server.migration.command",
    "verify": "oncekv.server.maintenance.verify.command",
    "backup": "oncekv.server.maintenance.backup.command",
    "shell": "oncekv.terminal.shell",
    "top": "oncekv.terminal.top",
    "completion": "oncekv.terminal.completion",
}

_HELP = """\
commands:
  serve       run a server:         oncekv serve --listen 127.0.0.1:8000 --store sqlite:////var/lib/oncekv/kv.db
  call        make one call:        oncekv call kv.append key=k value=x --server http://127.0.0.1:8000
  shell       calls by hand:        oncekv shell --server http://127.0.0.1:8000
  top         live figures:         oncekv top --server http://127.0.0.1:8000
  migrate     move a store:         oncekv migrate --from sqlite:////var/lib/oncekv/kv.db --to postgresql://oncekv@db1/oncekv
  verify      is it sound?          oncekv verify sqlite:////var/lib/oncekv/kv.db
  backup      copy a store:         oncekv backup sqlite:////var/lib/oncekv/kv.db /backup/kv.db
  completion  of bash, zsh, fish:   eval "$(oncekv completion bash)"

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
    top.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of these below")
    name = top.parse_args(words[:1]).command
    command = importlib.import_module(COMMANDS[name])
    parser = console.Parser(f"oncekv {name}")
    command.configure(parser)
    parser.set_defaults(param_kinds=_param_kinds, whole=_whole, methods=_methods)
    return int(command.run(parser.parse_intermixed_args(words[1:])))


def _whole() -> argparse.ArgumentParser:
    """All commands in one parser, as a shell's completion wants them."""
    whole = console.Parser("oncekv")
    commands = whole.add_subparsers(metavar="COMMAND")
    for name, module in COMMANDS.items():
        # With a help: shtab passes over commands that have none, as argparse's own --help does.
        importlib.import_module(module).configure(commands.add_parser(name, help=name))
    return whole


def _methods() -> Sequence[str]:
    """The names of the key/value methods, those of failpoints aside."""
    names: Sequence[str] = importlib.import_module("oncekv.kv.methods").all_methods()
    return [name for name in names if not name.startswith("debug.")]


def _param_kinds(method: str) -> Mapping[str, str] | None:
    """Which params of a method are strings; None for an unknown method."""
    methods = importlib.import_module("oncekv.kv.methods")
    kinds: Mapping[str, str] | None = methods.params_of(method)
    return kinds


if __name__ == "__main__":
    raise SystemExit(main())
