"""The Nth operation on the disk fails, for every N: nothing acknowledged is lost, nothing is doubled, all is sound.

`make test` takes a sample, another one for each seed. `make test-long` goes through every N at which all kinds of
operations fail, and a larger sample where one kind does; ONCEKV_EVERY_FAILURE=1 makes it every N there as well.
"""

from __future__ import annotations

import os
import sqlite3

import pytest

from tests.io.conftest import Loop
from tests.io.planted import PLANTED
from tests.io.shim import FAULTS, KINDS
from tests.io.store_trial import Finding
from tests.support.seed import SEED

SAMPLE = {"store": 40, "outbox": 12}
EVERY = [(what, fault) for what in ("store", "outbox") for fault in FAULTS]
LONG_STEP = 1 if os.environ.get("ONCEKV_EVERY_FAILURE") else 6
LEAST = {"store": 300, "outbox": 100}
"""So many failing operations there are at least, where every kind of operation may fail."""
PARTS = 4
"""A loop over every N of the store takes minutes; each of these takes every fourth N."""


def _problems(findings: list[Finding]) -> list[str]:
    return [
        f"N={it.number} ({it.end}; failed: {it.kinds}; told: {it.told}): {problem}"
        for it in findings
        for problem in it.problems
    ]


@pytest.mark.parametrize(("what", "fault"), [one for one in EVERY if one[1] in ("eio-once", "enospc-lasting")])
def test_a_sample_of_failures(loop: Loop, what: str, fault: str) -> None:
    """Some N of all, other ones for another seed."""
    step = SAMPLE[what]
    assert _problems(loop(what, fault, first=SEED % step + 1, step=step)) == []


def _is_whole(fault: str) -> bool:
    return FAULTS[fault].kinds == KINDS


def _parts(what: str, fault: str) -> int:
    return PARTS if what == "store" and _is_whole(fault) else 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "fault", "part"), [(*one, part) for one in EVERY for part in range(1, _parts(*one) + 1)]
)
def test_every_failure(loop: Loop, what: str, fault: str, part: int) -> None:
    """Until nothing fails any more; each kind of operation that can fail did."""
    parts, is_whole = _parts(what, fault), _is_whole(fault)
    first, step = (part, parts) if is_whole else (SEED % LONG_STEP + 1, LONG_STEP)
    findings = loop(what, fault, first=first, step=step)
    assert _problems(findings) == []
    assert findings[-1].failed == 0
    assert findings[-1].is_whole
    failed = [it for it in findings if it.failed]
    assert {kind for it in failed for kind, count in it.kinds.items() if count} <= set(FAULTS[fault].kinds)
    if is_whole:
        made = f"SQLite {sqlite3.sqlite_version} made {findings[-1].operations} operations"
        assert len(failed) >= LEAST[what] // parts, made
        assert {kind for it in failed for kind, count in it.kinds.items() if count} == set(KINDS)


@pytest.mark.long
def test_failures_with_a_process_that_commits(loop: Loop) -> None:
    """The same where two processes have the store open; a sample."""
    step = 9
    assert _problems(loop("store", "eio-lasting", writer="process", first=SEED % step + 1, step=step)) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught(loop: Loop, name: str) -> None:
    """The loops find those who trust a disk; `test_every_failure` is the same without the bug."""
    bug = PLANTED[name]
    assert _problems(loop(bug.what, bug.fault, plant=name, first=bug.first, step=bug.step, until="caught"))
