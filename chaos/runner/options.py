"""What `python -m chaos run` and `matrix` are asked for: their words, and what is wrong usage of each alone."""

from __future__ import annotations

import argparse
import difflib
import random
from pathlib import Path

from chaos.runner.cell import CellEffort
from chaos.runtime import runtimes
from chaos.runtime.base import MODELS, Serving
from chaos.runtime.stores import SHARED
from chaos.scenarios import scenarios
from chaos.services import services

__all__ = ["configure_matrix", "configure_run"]


def configure_run(parser: argparse.ArgumentParser) -> None:
    """Describe the command that runs one scenario."""
    parser.add_argument("scenario", type=_scenario, metavar="SCENARIO", help="a name from `list`")
    parser.add_argument("--semantics", choices=_columns(), help="one column alone")
    parser.add_argument("--keep", action="store_true", help="leave server and links up afterwards, until Ctrl-C")
    _configure(parser)


def configure_matrix(parser: argparse.ArgumentParser) -> None:
    """Describe the command that runs all of them."""
    parser.add_argument("--quick", action="store_true", help="a selection, as `make demo` runs it")
    _configure(parser)


def _configure(parser: argparse.ArgumentParser) -> None:
    """What both have."""
    parser.add_argument("--runtime", choices=runtimes(), default="local", help="where the servers run")
    parser.add_argument(
        "--service", choices=services(), default=Serving.service, help="what is broken (default: %(default)s)"
    )
    parser.add_argument(
        "--database", choices=_databases(), help="of the bank: its own, private to the run (default: sqlite)"
    )
    parser.add_argument(
        "--store",
        choices=[Serving.store, *SHARED],
        default=Serving.store,
        help="of the key/value service: a file of its own, or one that servers share (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        default=Serving.model,
        help="how: one event loop for all, or one thread per connection (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=Serving.workers,
        metavar="N",
        help="processes of each server that serve; from two on, one more commits for them (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeat a run; drawn if left out")
    parser.add_argument("--clients", type=_positive, default=CellEffort.clients, metavar="N")
    parser.add_argument(
        "--calls",
        type=_positive,
        default=CellEffort.calls,
        metavar="N",
        help="of each client; with few, a fault may find none",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the evidence goes (default: out/…)")


def _databases() -> list[str]:
    return list(dict.fromkeys(name for service in services().values() for name in service.databases))


def _columns() -> list[str]:
    """Of all services."""
    return list(dict.fromkeys(column.name for service in services().values() for column in service.columns))


def _scenario(text: str) -> str:
    if text not in scenarios():
        near = difflib.get_close_matches(text, scenarios(), n=3)
        raise argparse.ArgumentTypeError(
            f"there is no scenario {text!r}" + (f"; did you mean {' or '.join(near)}?" if near else "; `list` has them")
        )
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
