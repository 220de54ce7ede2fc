"""`oncekv serve`: the command line of a server."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

from oncekv.server.config import Config, StartupError, UsageError
from oncekv.server.engine.storage import check_url
from oncekv.server.http.models import models
from oncerpc.server.dedup import deliveries
from oncerpc.server.log import set_up_logging

__all__ = ["configure", "run"]

NUMBER_MAX = 10**9
WRITERS = ("auto", "thread", "process")
EXAMPLES = """\
When it can serve, one line on stdout: {"event": "ready", "url": "http://…", "pid": N, "boot": N}.
SIGTERM drains and exits 0; SIGKILL at any moment needs no repair. Exit 74: that line could not be written, and nobody
would have known of the server; whoever does not want it says >/dev/null.

  oncekv serve --listen 127.0.0.1:8000 --store sqlite:////var/lib/oncekv/kv.db
  oncekv serve --listen 127.0.0.1:0 --store sqlite:///data/kv.db --workers 2
  oncekv serve --listen 127.0.0.1:0 --store postgresql://oncekv@db1:5432,db2:5432/oncekv
  oncekv serve --listen 127.0.0.1:0 --store etcd://etcd1:2379,etcd2:2379,etcd3:2379/oncekv
  oncekv serve … --model threads        a thread for each request, to compare it with the event loop
  oncekv serve … --delivery memory      the naive control: a restart forgets what ran
  oncekv serve … --failpoints           let debug.failpoint crash, delay or silence it
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add(
        "--listen",
        default="127.0.0.1:8000",
        metavar="HOST:PORT",
        type=_address,
        help="port 0 takes a free one (default: %(default)s)",
    )
    add(
        "--store",
        required=True,
        metavar="URL",
        help="sqlite:///FILE, percent-encoded; an absolute path gives four slashes. Or, for any number of servers,"
        " postgresql://USER@HOST:PORT[,HOST:PORT…]/DATABASE (its password better in PGPASSFILE than here);"
        " etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][/PREFIX]",
    )
    add(
        "--delivery",
        choices=deliveries(),
        default="persisted",
        help="what becomes of identities: recorded in the store, recorded in memory alone, or ignored"
        " (default: %(default)s)",
    )
    add(
        "--model",
        choices=models(),
        default=Config.model,
        help="who waits: one event loop for all, or one thread per connection (default: %(default)s)",
    )
    add(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="processes that read and answer, on one address; from two on, one more commits for them (default: 1)",
    )
    add(
        "--writer",
        choices=WRITERS,
        default=WRITERS[0],
        help="where one worker's calls are committed: on a thread of it, or in a process of its own; auto: in a process"
        " where it has a core to run on (default: %(default)s); with several workers always in a process",
    )
    add("--token-file", type=Path, metavar="FILE", help="one accepted bearer token a line (default: none is asked for)")
    add("--log-format", choices=("text", "json"), default="text", help="lines, or a JSON object a line (default: text)")
    add("--log-calls", action="store_true", help="log every attempt: identity (shortened), outcome, time")
    add("--failpoints", action="store_true", help="offer debug.failpoint (for tests only)")
    for name, default, what in (
        ("--lease-ms", Config.lease_ms, "default session lease"),
        ("--sessions-max", Config.sessions_max, "over it: too_many_sessions"),
        ("--queue-max", Config.queue_max, "calls that may wait; over it: overloaded"),
    ):
        add(name, type=_positive, default=default, metavar="N", help=f"{what} (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Serve; the exit code. A server that cannot start says why in one line and leaves nothing behind."""
    # The HTTP server's import takes a moment that --help need not.
    from oncekv.server.process.serve import serve

    set_up_logging(as_json=args.log_format == "json")
    if args.workers > 1 and args.writer == "thread":
        print("oncekv serve: several workers have a writer's process; leave --writer thread out", file=sys.stderr)
        return 2
    try:
        check_url(args.store)
        return serve(_config(args))
    except StartupError as error:
        print(f"oncekv serve: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 0


def _config(args: argparse.Namespace) -> Config:
    host, port = args.listen
    return Config(
        store_url=args.store,
        host=host,
        port=port,
        delivery=args.delivery,
        workers=args.workers,
        model=args.model,
        writer=_writer(args.writer),
        tokens=_tokens(args.token_file) if args.token_file else frozenset(),
        failpoints=args.failpoints,
        log_calls=args.log_calls,
        lease_ms=min(args.lease_ms, Config.lease_max_ms),
        sessions_max=args.sessions_max,
        queue_max=args.queue_max,
    )


def _writer(chosen: str) -> str:
    if chosen != "auto":
        return chosen
    # Those that this process may use; not every system can say.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return "process" if cores > 1 else "thread"


def _tokens(path: Path) -> frozenset[bytes]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"cannot read the token file {path}: {error}") from None
    tokens = [line.strip() for line in lines if line.strip()]
    if not tokens:
        raise StartupError(f"the token file {path} holds no token; write one a line")
    return frozenset(hashlib.sha256(token.encode()).digest() for token in tokens)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= NUMBER_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {NUMBER_MAX}")
    return int(text)
