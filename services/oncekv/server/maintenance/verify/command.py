"""`oncekv verify STORE`: is all of it sound?"""

from __future__ import annotations

import argparse
import sqlite3
import sys

from oncekv.server.config import UsageError
from oncekv.server.engine.storage.sqlite_errors import reason
from oncekv.server.engine.storage.sqlite_files import shown
from oncekv.server.engine.storage.sqlite_verify import verify
from oncekv.server.maintenance import store_file

__all__ = ["configure", "run"]

EXAMPLES = """\
Pages, log, checksums, records against sessions, counts; it reads one snapshot while a server serves. Exit 0: sound, and
a line says what is there. Exit 1: a line on stderr for each finding.

  oncekv verify sqlite:////var/lib/oncekv/kv.db
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("store", metavar="STORE", help="sqlite:///FILE, as for `oncekv serve`")


def run(args: argparse.Namespace) -> int:
    """The exit code."""
    try:
        path = store_file(args.store)
    except UsageError as error:
        print(f"oncekv verify: {error}", file=sys.stderr)
        return 2
    try:
        report = verify(path)
    except sqlite3.Error as error:
        print(f"oncekv verify: {shown(path)} cannot be read: {reason(error)}; restore a backup", file=sys.stderr)
        return 1
    for finding in report.findings:
        print(f"oncekv verify: {finding}", file=sys.stderr)
    if report.findings:
        print(f"oncekv verify: {shown(path)} is damaged; keep it as it is, and restore a backup", file=sys.stderr)
        return 1
    print(f"sound: {', '.join(f'{name} {count}' for name, count in sorted(report.counts.items()))}")
    return 0
