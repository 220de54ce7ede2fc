"""`python -m tests.bugs` as a person uses it: Ctrl-C in the middle, and wrong words."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bugs.trial import ROOT
from tests.support.waiting import until

HUNT = [sys.executable, "-m", "tests.bugs"]


def _of_session(session: int) -> list[str]:
    """The processes that the hunt started and that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state not in "ZX":
            found.append(stat.parent.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_hunt_tells_what_it_has(number: signal.Signals, tmp_path: Path) -> None:
    """A signal to the hunt alone ends its trials too, in the middle; the bugs that were caught stand in the table."""
    out = tmp_path / "out"
    command = [*HUNT, "fingerprint-ignored", "outbox-forgets", "torn-txn", "watermark-in-memory", "--out", str(out)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stderr is not None
        first = run.stderr.readline()
        assert first.endswith("caught\n"), first
        until(lambda: len(_of_session(run.pid)) > 3, what="the next trial's servers")
        run.send_signal(number)
        table, rest = run.communicate(timeout=60)
    assert run.returncode == 130, rest
    until(lambda: not _of_session(run.pid), what="nothing of the hunt is left")
    assert "Traceback" not in rest
    assert "not caught" not in table
    assert first.split()[3].rstrip(":") in table
    assert (out / "bugs.md").read_text() == table


@pytest.mark.parametrize("words", [("no-such",), ("--out", str(ROOT / "tests"))])
def test_wrong_words_run_nothing(words: tuple[str, ...]) -> None:
    """A bug that is not there, or a folder that holds something else, which stays."""
    done = subprocess.run([*HUNT, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert words[-1] in done.stderr
    assert (ROOT / "tests" / "bugs").is_dir()
