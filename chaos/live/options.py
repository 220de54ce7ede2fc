"""What `python -m chaos live` is asked for: its words, and what they come to."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from chaos.runtime import runtimes
from chaos.runtime.base import Serving
from chaos.runtime.stores import SHARED

__all__ = ["HOST", "SEMANTICS", "Options", "command_of", "configure", "read_options"]

SEMANTICS = ("maybe", "at-least-once", "at-most-once", "exactly-once")
HOST, PORT = "127.0.0.1", 8300
CLIENTS_MAX = 6
SERVERS_MAX = 3


@dataclass(frozen=True)
class Options:
    """What is asked for on the command line. rate: calls of each client in a second. reading: the time that a
    sentence of a scene is left to be read, beside the usual one.
    """

    clients: int = 3
    servers: int = 1
    semantics: str = "at-least-once"
    store: str = Serving.store
    travel_ms: int = 1200
    rate: float = 0.5
    reading: float = 1.0
    runtime: str = "local"

    @property
    def is_shared(self) -> bool:
        return self.store != Serving.store


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add = parser.add_argument
    add(
        "--host",
        default=HOST,
        help="to listen on (default: %(default)s); in a container 0.0.0.0, published on the loopback",
    )
    add("--port", type=int, default=PORT, help="of the page; 0: a free one (default: %(default)s)")
    add("--clients", type=int, default=Options.clients, metavar="N", help="1 to 6 (default: %(default)s)")
    add("--servers", type=int, metavar="N", help="1, or 2 to 3 where they share a store (default: 1, or 2)")
    add("--semantics", choices=SEMANTICS, default=Options.semantics, help="to begin with (default: %(default)s)")
    add("--runtime", choices=runtimes(), default=Options.runtime, help="where the server runs (default: %(default)s)")
    add("--store", choices=[Serving.store, *SHARED], default=Serving.store, help="as of `run` (default: %(default)s)")
    add("--travel-ms", type=int, default=Options.travel_ms, metavar="N", help="of a message, one way")
    add("--rate", type=float, default=Options.rate, metavar="N", help="calls of each client in a second")
    add("--reading", type=float, default=Options.reading, metavar="N", help="times as long to read in scenes")
    add("--open", type=Path, metavar="FILE", help="look at a saved run, or at a cell's folder, and do nothing")
    add("--out", type=Path, metavar="DIR", help="where the journal goes (default: out/live-…)")


def read_options(args: argparse.Namespace) -> Options:
    """Raises ValueError, in words."""
    is_shared = args.store != Serving.store
    servers = args.servers or (2 if is_shared else 1)
    if not 1 <= args.clients <= CLIENTS_MAX:
        raise ValueError(f"--clients: 1 to {CLIENTS_MAX} can be drawn and followed")
    if is_shared and args.runtime != Options.runtime:
        raise ValueError(f"--store {args.store} is had on local processes alone: leave --runtime away")
    if not 1 <= servers <= (SERVERS_MAX if is_shared else 1):
        raise ValueError(f"--servers: 1 with a file each, up to {SERVERS_MAX} with --store {' or '.join(SHARED)}")
    if not 0 <= args.travel_ms <= 10_000 or not 0 < args.rate <= 100:
        raise ValueError("--travel-ms is 0 to 10000, --rate above 0 up to 100")
    if not 0 <= args.port <= 65_535:
        raise ValueError("--port is 0 to 65535")
    if not 0 <= args.reading <= 10:
        raise ValueError("--reading is 0 to 10")
    return Options(
        args.clients, servers, args.semantics, args.store, args.travel_ms, args.rate, args.reading, args.runtime
    )  # fmt: skip


def command_of(args: argparse.Namespace, options: Options) -> str:
    """The words that start the same."""
    words = ["python -m chaos live"]
    for name in ("clients", "semantics", "store", "runtime"):
        if getattr(options, name) != getattr(Options, name):
            words.append(f"--{name} {getattr(options, name)}")
    return " ".join([*words, *([f"--servers {options.servers}"] if args.servers else [])])
