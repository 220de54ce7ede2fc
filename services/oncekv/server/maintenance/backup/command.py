"""`oncekv backup STORE FILE`: a consistent copy while a server goes on."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from oncekv.server.config import UsageError
from oncekv.server.engine.storage.sqlite_backup import BackupFailed, back_up
from oncekv.server.engine.storage.sqlite_errors import reason
from oncekv.server.engine.storage.sqlite_files import shown
from oncekv.server.maintenance import store_file

__all__ = ["configure", "run"]

EXAMPLES = """\
The copy has the sessions and records too. To restore it, end the server, put FILE in the place of the store and of its
-wal and -shm files, and start the server: calls that the backup knows are answered from it; a call of an older session
that it does not know is refused as session_unknown, since it may have run after the backup. What was acknowledged after
the backup is lost, and an Idempotency-Key of that time is a new one.

  oncekv backup sqlite:////var/lib/oncekv/kv.db /backup/kv-monday.db
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("store", metavar="STORE", help="sqlite:///FILE, as for `oncekv serve`")
    parser.add_argument("file", metavar="FILE", type=Path, help="where the copy goes; nothing may be there")


def run(args: argparse.Namespace) -> int:
    """The exit code."""
    target = args.file.absolute()
    try:
        store = store_file(args.store)
        if target.exists():
            raise UsageError(f"{shown(target)} is there already; name another file")
        report = back_up(store, target)
    except UsageError as error:
        print(f"oncekv backup: {error}", file=sys.stderr)
        return 2
    except (BackupFailed, sqlite3.Error, OSError) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else reason(error)
        print(f"oncekv backup: there is no backup: {why}", file=sys.stderr)
        return 1
    counts = ", ".join(f"{name} {count}" for name, count in sorted(report.counts.items()))
    print(f"{shown(target)}: {counts}")
    return 0
