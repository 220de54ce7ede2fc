"""Every N: `python -m tests.io.loop store eio-once`, started under the fault library (`shim.environment`).

Prints a line of JSON for each trial. It ends with the first trial in which nothing failed and the workload came to its
end: then N has passed it. A trial may end early for another reason than its fault (a machine that stands still until a
caller gives up); N says nothing then, and is tried again, in bounds.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from tests.io.outbox_trial import OutboxTrial
from tests.io.planted import PLANTED
from tests.io.shim import FAULTS, Control, Fault
from tests.io.store_trial import Finding, StoreTrial

NUMBER_MAX = 5000
TRIALS_MAX = 3


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; problems are findings of the trials, not of this."""
    parser = argparse.ArgumentParser(prog="python -m tests.io.loop", description=__doc__)
    parser.add_argument("what", choices=("store", "outbox"))
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--first", type=int, default=1, metavar="N")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="only every Nth of them")
    parser.add_argument("--until", choices=("end", "caught"), default="end", help="caught: the first problem will do")
    parser.add_argument("--plant", choices=PLANTED, metavar="BUG", help="put a bug into every server or client")
    parser.add_argument("--writer", choices=("thread", "process"), default="thread")
    args = parser.parse_args(argv)
    control = Control()
    plant = PLANTED[args.plant].plant if args.plant else nullcontext
    trial: StoreTrial | OutboxTrial
    if args.what == "store":
        trial = StoreTrial(control, ("--writer", args.writer), plant)
    else:
        trial = OutboxTrial(control, plant)
    with contextlib.closing(trial):
        return _go_through(trial, FAULTS[args.fault], range(args.first, NUMBER_MAX, args.step), args.until)


def _go_through(trial: StoreTrial | OutboxTrial, fault: Fault, numbers: range, until: str) -> int:
    for number in numbers:
        finding = _conclusive(trial, fault, number)
        print(json.dumps(dataclasses.asdict(finding)), flush=True)
        if not finding.failed or (until == "caught" and finding.problems):
            return 0
    return 1


def _conclusive(trial: StoreTrial | OutboxTrial, fault: Fault, number: int) -> Finding:
    """The trial's finding, or that of its repetition where its workload ended early and yet nothing had failed."""
    count = 0
    while True:
        finding = trial.run(fault, number)
        if finding.failed or finding.is_whole or finding.problems:
            return finding
        count += 1
        cut = f"{finding.operations} operations, none of them failed, {finding.end}, told {finding.told}"
        print(f"N={number}, trial {count}: ended early: {cut}\n{trial.log_tail()}", file=sys.stderr, flush=True)
        if count == TRIALS_MAX:
            finding.problems.append(f"the workload ended early {count} times: {cut}: {trial.log_tail()}")
            return finding


if __name__ == "__main__":
    sys.exit(main())
