"""Hunt the planted bugs: `python -m tests.bugs [NAME…]`.

Each bug is put into the server or the client, in processes of their own, and the chaos scenarios that it names are run
against it until one catches it; then the same scenarios are run without the bug, and must be green. Progress goes to
stderr, the table to stdout and to bugs.md, which stands in out/bugs with the evidence of every trial.

`python -m tests.bugs contrast` is another command: see its --help.

Exit code 0: every bug was caught, and every cell is green without one. 1: not so. 2: wrong usage. 74: the table could
not be written to stdout. 130: Ctrl-C or SIGTERM; what was hunted so far is in the table, and nothing is left running.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.runtime.base import MODELS, Serving
from oncekv import console
from tests.bugs.contrast import command as contrast
from tests.bugs.hunt import Control, Hunt, run_all
from tests.bugs.planted import bugs
from tests.bugs.table import render
from tests.bugs.trial import stop_at_signals

OUT = Path("out/bugs")
TABLE = "bugs.md"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["contrast"]:
        return contrast.main(words[1:])
    args = _words(words)
    stop = stop_at_signals()
    try:
        shutil.rmtree(args.out, ignore_errors=True)
        args.out.mkdir(parents=True)
        (args.out / TABLE).touch()
    except OSError as error:
        print(f"bugs: cannot write to {args.out}: {error.strerror}; name another --out", file=sys.stderr)
        return console.USAGE
    chosen = [bug for name, bug in bugs().items() if name in args.name or not args.name]
    hunts: list[Hunt] = []
    controls: list[Control] = []
    for ended in run_all(chosen, args.seed, args.out, stop, args.model):
        _tell(ended)
        if isinstance(ended, Hunt):
            hunts.append(ended)
        else:
            controls.append(ended)
    table = render(hunts, controls, args.model)
    (args.out / TABLE).write_text(f"{table}\n", encoding="utf-8")
    print(table)
    if stop.is_set():
        print(f"bugs: interrupted after {len(hunts)} of {len(chosen)}; nothing is left running", file=sys.stderr)
        return 130
    return 0 if all(found.good for found in hunts) and all(control.good for control in controls) else 1


def _words(argv: Sequence[str] | None) -> argparse.Namespace:
    known = bugs()
    parser = console.Parser(
        prog="python -m tests.bugs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(known)}; default: all")
    parser.add_argument("--seed", type=int, default=1, help="of the first try (default: 1)")
    parser.add_argument("--runtime", choices=["local"], default="local", help="a bug is planted in local processes")
    parser.add_argument(
        "--model", choices=MODELS, default=Serving.model, help="how the servers serve (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where all goes (default: {OUT})")
    args = parser.parse_args(argv)
    if unknown := set(args.name) - known.keys():
        parser.error(f"there is no bug {', '.join(sorted(unknown))}")
    if args.out != OUT and args.out.exists() and not (args.out / TABLE).is_file():
        parser.error(f"{args.out} is not an earlier hunt; name another --out")
    return args


def _tell(ended: Hunt | Control) -> None:
    what = f"control {ended.plan.cell}" if isinstance(ended, Control) else f"bug {ended.bug.number} {ended.bug.name}"
    good = "green" if isinstance(ended, Control) else "caught"
    print(f"bugs: {what}: {good if ended.good else '; '.join(ended.problems)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(console.run("python -m tests.bugs", main))
