"""`oncekv completion SHELL`: a completion script, made from what the commands themselves take.

eval "$(oncekv completion bash)"            oncekv completion zsh > "${fpath[1]}/_oncekv"
"""

from __future__ import annotations

import argparse

import shtab

__all__ = ["configure", "run"]

EXAMPLES = """\
  bash   eval "$(oncekv completion bash)"     in ~/.bashrc
  zsh    oncekv completion zsh > "${fpath[1]}/_oncekv"
  fish   oncekv completion fish > ~/.config/fish/completions/oncekv.fish
  tcsh   oncekv completion tcsh > ~/.oncekv.completion.csh; source it in ~/.cshrc
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Print a shell's completion of oncekv: commands, options, files, methods."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, metavar="SHELL", help="bash, zsh, fish or tcsh")


def run(args: argparse.Namespace) -> int:
    """Print it. `args.whole()` gives one parser with all commands below it."""
    whole: argparse.ArgumentParser = args.whole()
    for parser in _parsers(whole):
        for action in parser._actions:  # argparse has no public way to what a parser takes
            if action.metavar in ("FILE", "DIR"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own mark
            elif action.metavar == "METHOD":
                action.choices = args.methods()
    print(shtab.complete(whole, args.shell))
    return 0


def _parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(found for action in below for one in action.choices.values() for found in _parsers(one))]
