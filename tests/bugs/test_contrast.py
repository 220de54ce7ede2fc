"""The contrast in a short form: ours stays right in every trial, and each of the usual ways fails where it must."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.runtime.postgresql import find_binaries
from tests.bugs.contrast.command import DATABASES, is_good, measure, render
from tests.bugs.contrast.trials import TRIALS, Came
from tests.bugs.contrast.variants import OURS, variants
from tests.bugs.trial import ROOT

FAILS = {
    "no key": {"crash after commit", "slow first attempt", "lost reply", "duplicate on another process"},
    "key in a cache, set before": {"crash before execute", "crash after execute", "crash after commit"},
    "key in a cache, set after": {"crash after commit", "slow first attempt", "duplicate on another process"},
    '"in progress" row with expiry and reclaim': {"slow first attempt"},
    "record in a second transaction": {"crash after commit", "slow first attempt", "duplicate on another process"},
    OURS.title: set(),
}


@pytest.mark.parametrize(
    "database", [pytest.param(name, marks=[] if name == "sqlite" else [pytest.mark.long]) for name in DATABASES]
)
def test_ours_stays_right_and_each_other_way_fails(database: str, tmp_path: Path) -> None:
    """Doubled, lost or refused for ever, with real SIGKILLs: nothing of ours, and something of each other way."""
    if database == "postgresql" and find_binaries() is None:
        pytest.skip("there is no PostgreSQL")
    results = measure([database], 1, tmp_path)
    found = {
        variant.title: {trial for trial, came in trials.items() if not came.good}
        for (variant, _), trials in results.items()
    }
    assert found == FAILS
    assert is_good(results)
    *_, ours = (line for line in render(results).splitlines() if line.startswith("|"))
    assert ours.endswith("| 0 / 0 / 0 |")


@pytest.mark.parametrize("wrong", [Came(1, doubled=1), Came(1, lost=1), Came(1, refused=1), Came(0)], ids=str)
def test_one_failure_of_ours_fails_the_contrast(wrong: Came) -> None:
    """Also where nothing was sent at all; and a way that never fails would say that the trials are too mild."""
    fine = {trial: Came(1) for trial in TRIALS}
    others = {(variant, "sqlite"): {**fine, "lost reply": Came(1, doubled=1)} for variant in variants()[:-1]}
    assert is_good({**others, (OURS, "sqlite"): fine})
    assert not is_good({**others, (OURS, "sqlite"): {**fine, "lost reply": wrong}})
    assert not is_good({**others, (OURS, "sqlite"): fine, (variants()[0], "sqlite"): fine})


def test_every_way_says_why_people_take_it() -> None:
    """A variant is no straw man: its file begins with the reason."""
    for variant in variants()[:-1]:
        module = sys.modules[variant.application.partition(":")[0]]
        assert "People do this because" in " ".join((module.__doc__ or "").split())


@pytest.mark.parametrize("words", [("--database", "oracle"), ("--transfers", "0"), ("--out", str(ROOT / "tests"))])
def test_wrong_words_start_nothing(words: tuple[str, str]) -> None:
    """One line, exit code 2, and a folder that holds something else stays."""
    command = [sys.executable, "-m", "tests.bugs", "contrast", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert words[1] in done.stderr or words[0] in done.stderr
    assert (ROOT / "tests" / "bugs").is_dir()
