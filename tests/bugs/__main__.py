"""Hunt the planted bugs: `python -m tests.bugs [NAME…]`. Exit 1 if one slips through, or a cell is red without any."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bugs.hunt import Control, Hunt, run_all
from tests.bugs.planted import bugs
from tests.bugs.table import render

OUT = Path("out/bugs")


def main(argv: Sequence[str] | None = None) -> int:
    """Progress goes to stderr, the table to stdout; the exit code."""
    known = bugs()
    parser = argparse.ArgumentParser(prog="python -m tests.bugs", description=__doc__)
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(known)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runtime", choices=["local"], default="local", help="a bug is planted in local processes")
    args = parser.parse_args(argv)
    if unknown := set(args.name) - known.keys():
        parser.error(f"there is no bug {', '.join(sorted(unknown))}")
    shutil.rmtree(OUT, ignore_errors=True)
    chosen = [bug for name, bug in known.items() if name in args.name or not args.name]
    hunts: list[Hunt] = []
    controls: list[Control] = []
    for ended in run_all(chosen, args.seed, OUT):
        _tell(ended)
        if isinstance(ended, Hunt):
            hunts.append(ended)
        else:
            controls.append(ended)
    table = render(hunts, controls)
    (OUT / "bugs.md").write_text(f"{table}\n", encoding="utf-8")
    print(table)
    return 0 if all(found.good for found in hunts) and all(control.good for control in controls) else 1


def _tell(ended: Hunt | Control) -> None:
    what = f"control {ended.plan.cell}" if isinstance(ended, Control) else f"bug {ended.bug.number} {ended.bug.name}"
    good = "green" if isinstance(ended, Control) else "caught"
    print(f"bugs: {what}: {good if ended.good else '; '.join(ended.problems)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
