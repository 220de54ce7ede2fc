"""When a loop ends: not with a trial that ended early, in which nothing failed for another reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.io.loop import TRIALS_MAX, _go_through
from tests.io.shim import FAULTS
from tests.io.store_trial import Finding, StoreTrial

OPERATIONS = 5


class Trials(StoreTrial):
    """A workload of five operations; as many trials of the third as `cut` end after two."""

    def __init__(self, cut: int) -> None:
        self._cut = cut
        self.numbers: list[int] = []

    def run(self, _fault: Any, number: int) -> Finding:
        self.numbers.append(number)
        if number == 3 and self._cut:
            self._cut -= 1
            return Finding(number, operations=2, end="ended with 0", told={"lost": 3})
        return Finding(number, failed=int(number <= OPERATIONS), operations=OPERATIONS, is_whole=number > OPERATIONS)

    def log_tail(self) -> str:
        return "the log"


@pytest.mark.parametrize("cut", range(TRIALS_MAX))
def test_a_trial_that_ended_early_is_tried_again(cut: int, capsys: pytest.CaptureFixture[str]) -> None:
    """And the loop goes on behind it, up to the last operation."""
    trials = Trials(cut)
    assert _go_through(trials, FAULTS["eio-once"], range(1, 100), "end") == 0
    assert trials.numbers == [1, 2, *[3] * (cut + 1), 4, 5, 6]
    printed = capsys.readouterr()
    assert printed.err.count("ended early") == cut
    assert '"problems": ["' not in printed.out


def test_one_that_ends_early_again_and_again_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    """With what its callers were told, and the log."""
    trials = Trials(TRIALS_MAX)
    assert _go_through(trials, FAULTS["eio-once"], range(1, 100), "end") == 0
    assert trials.numbers == [1, 2, 3, 3, 3]
    assert "the workload ended early 3 times: 2 operations" in capsys.readouterr().out
