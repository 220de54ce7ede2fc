"""`oncekv migrate`: the command line of a move."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import Any

import msgspec

from oncekv.server.config import StartupError
from oncekv.server.migration.move import Moved, move
from oncekv.server.migration.sides import MigrationFailed, Side, open_side

__all__ = ["configure", "run"]

_LATER = """\
All of a store moves: keys with their versions, sessions with their leases and watermarks, the dedup records, those
under Idempotency-Keys, and the lease clock. So a retry of a call that was made before the move is answered from its
record after it.

  1. End all servers of the source. One that still runs is refused where that can be known: of SQLite always, of
     PostgreSQL and etcd by the lease clock that it saves.
  2. oncekv migrate --from sqlite:////var/lib/oncekv/kv.db --to postgresql://oncekv@db1,db2/oncekv
     oncekv migrate --from postgresql://oncekv@db1/oncekv --to etcd://etcd1:2379,etcd2:2379,etcd3:2379/oncekv
     oncekv migrate --from etcd://etcd1:2379/oncekv --to sqlite:////var/lib/oncekv/kv.db
  3. Start servers on the target, under the addresses that the clients know. Never serve the source again: it is left
     as it was, and knows nothing of what runs from now on.

The target must be empty: a file that is not there, a database without OnceKV's tables, a prefix without keys. Whatever
ends the command, the same command goes on from the last batch; until it has come to its end and both sides have given
the same counts and checksums, no server opens the target. Progress goes to stderr.

Exit code: 0 moved and verified, 2 refused and nothing changed, 1 broke off (run it again), 130 interrupted (the same).
A password is better in PGPASSFILE than in the URL, which `ps` shows; it is printed nowhere.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _LATER
    what = "a store's URL, as `oncekv serve --store` takes it"
    parser.add_argument("--from", dest="source", required=True, metavar="URL", help=f"the store that moves: {what}")
    parser.add_argument("--to", dest="target", required=True, metavar="URL", help="where to, an empty place: the same")
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Move; the exit code."""
    began_s = time.monotonic()
    try:
        with (
            contextlib.closing(open_side(args.source, "--from")) as source,
            contextlib.closing(open_side(args.target, "--to")) as target,
        ):
            moved = move(source, target, _say)
    except StartupError as error:
        _say(str(error))
        return 1 if isinstance(error, MigrationFailed) else 2
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from here")
        raise
    _print(moved, source, target, time.monotonic() - began_s, as_json=args.json)
    return 0


def _say(line: str) -> None:
    print(f"oncekv migrate: {line}", file=sys.stderr, flush=True)


def _print(moved: Moved, source: Side, target: Side, took_s: float, *, as_json: bool) -> None:
    if as_json:
        summary: dict[str, Any] = {"from": source.where, "to": target.where, "verified": True}
        summary |= {"resumed": moved.was_resumed, "seconds": round(took_s, 3), **moved.content}
        print(msgspec.json.encode(summary).decode())
        return
    for name, one in moved.content.items():
        print(f"{name:17} {one['count']:>12}   sha256 {one['sha256'][:16]}…")
    print(f"moved from {source.where} to {target.where} and verified, in {took_s:.1f} s; never serve the source again")
