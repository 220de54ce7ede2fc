"""`python -m chaos check HISTORY.jsonl` says whether a history is linearizable. The checker itself is in the making."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("history", type=Path, metavar="HISTORY.jsonl", help="JSON Lines, one event a line (PROTOCOL)")
    parser.add_argument("--model", choices=["kv", "register"], default="kv", help="what the operations mean")


def run(args: argparse.Namespace) -> int:
    """The exit code: 3, unknown, as nothing is checked yet."""
    print(f"check: {args.history}: unknown: there is no checker yet", file=sys.stderr)
    return 3
