"""`python -m chaos` as a person uses it: exit codes, evidence, and Ctrl-C in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CHAOS = [sys.executable, "-m", "chaos"]


def _chaos(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*CHAOS, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def _of_session(session: int) -> list[str]:
    """The command lines of the processes that a run started and that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            command = stat.with_name("cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(its_session) == session and state not in "ZX":
            found.append(command)
    return found


def test_list_tells_what_the_lecture_says() -> None:
    """Every scenario is listed with its lesson."""
    done = _chaos("list")
    assert done.returncode == 0
    assert "crash-after-commit\n    The server crashes when the effect is committed" in done.stdout


@pytest.mark.parametrize("words", [(), ("run",), ("run", "no-such"), ("matrix", "--clients", "0"), ("nonsense",)])
def test_wrong_usage_is_exit_2(words: tuple[str, ...]) -> None:
    """A wrong command line runs nothing and is told so in one line."""
    done = _chaos(*words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_one_cell_leaves_its_evidence(tmp_path: Path) -> None:
    """A run that held exits 0; history, figures, seed and versions are in its folder; a second run takes its place."""
    out = tmp_path / "out"
    for _ in range(2):
        done = _chaos("run", "lost-reply", "--semantics", "at-most-once", "--seed", "7", "--out", out)
        assert done.returncode == 0, done.stderr
    summary = json.loads((out / "matrix.json").read_text())
    assert summary["seed"] == 7
    assert summary["good"]
    assert summary["versions"]["toxiproxy"]
    (cell,) = summary["cells"]
    assert cell["calls"] == cell["effects"]["1"] == cell["told"]["ok"] == 100
    assert cell["fired"] >= 1
    lines = (out / "lost-reply--at-most-once" / "history.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["index"] for event in events] == list(range(len(events)))
    assert {event["f"] for event in events if event["process"] == "nemesis"} == {"begin", "end"}
    assert sum(event["type"] == "ok" for event in events) == 100


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path: Path) -> None:
    """One line names the folder, and what was in it is still there."""
    (tmp_path / "thesis.txt").write_text("mine")
    done = _chaos("run", "healthy", "--out", tmp_path)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr.splitlines()[-1]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_ctrl_c_leaves_no_process_and_keeps_what_was_measured(tmp_path: Path) -> None:
    """In the middle of a fault, SIGINT ends every server and Toxiproxy, and the cells that were done stay."""
    out = tmp_path / "out"
    command = [*CHAOS, "matrix", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("[ 6/"):
                break
        assert len(_of_session(run.pid)) > 2, "servers and Toxiproxy run"
        os.kill(run.pid, signal.SIGINT)
        rest = run.stderr.read()
        assert run.wait(30) == 130, rest
        assert "Traceback" not in rest
    until(lambda: not _of_session(run.pid), what="nothing of the run is left")
    summary = json.loads((out / "matrix.json").read_text())
    assert len(summary["cells"]) >= 6
    assert not summary["good"]
