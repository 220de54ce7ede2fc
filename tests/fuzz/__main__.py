"""`make fuzz`: every target side by side for a time, beginning with the kept corpus, and a table of what came of it.

    python -m tests.fuzz --seconds 600            600 s each
    python -m tests.fuzz --seconds 600 --keep     and what reaches further goes into tests/fuzz/corpus

Exit code 0: nothing was found. 1: each finding is a file, which `python -m tests.fuzz.worker TARGET FILE` shows again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.campaign import Campaign, Run

TARGETS = ("front", "envelope")
OUT = Path("out/fuzz")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=600, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS, action="append", help="one alone; default: all")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR")
    args = parser.parse_args(argv)
    campaigns = [Campaign(target, args.out.absolute()) for target in args.target or TARGETS]
    for campaign in campaigns:
        campaign.start(args.seconds, args.seed)
    runs = [campaign.end(args.seconds) for campaign in campaigns]
    print(table(runs))
    for run in runs:
        print("".join(f"\n{run.target}: {place}" for place in run.findings) + run.words, file=sys.stderr)
    if args.keep:
        for campaign in campaigns:
            campaign.keep()
    return 0 if all(run.good for run in runs) else 1


def table(runs: Sequence[Run]) -> str:
    """In Markdown."""
    lines = ["| target | seconds | executions | edges at first, in the end | inputs at first, in the end | findings |"]
    lines.append("| --- " * 6 + "|")
    for run in runs:
        edges = f"{run.coverage_at_first:,}, {run.coverage:,}"
        inputs = f"{run.corpus_at_first:,}, {run.corpus:,}"
        cells = [run.target, f"{run.took_s:.0f}", f"{run.executions:,}", edges, inputs, str(len(run.findings))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
