"""`python -m chaos` as a person uses it: exit codes, evidence, and Ctrl-C in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from chaos.scenarios import scenarios
from tests.support.seed import SEED
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("partition", "crash-storm", "client-crash")
"""Faults of a link, of a server and of clients; the others are for `make test-long`."""
LOCAL = [row.name for row in scenarios().values() if row.runs_on("local")]
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


def test_list_tells_what_each_scenario_teaches() -> None:
    """Every scenario is listed with its lesson."""
    done = _chaos("list")
    assert done.returncode == 0
    assert "crash-after-commit\n    The server crashes when the effect is committed" in done.stdout
    assert "\n    on --store postgres alone" in done.stdout.partition("\nprimary-promoted\n")[2].partition("-async")[0]


@pytest.mark.parametrize(
    "words",
    [
        (), ("run",), ("run", "no-such"), ("matrix", "--clients", "0"), ("nonsense",), ("run", "store-away"),
        ("run", "primary-promoted", "--store", "etcd"), ("run", "store-away", "--runtime", "compose"),
        ("run", "primary-promoted", "--runtime", "compose", "--store", "etcd"),
        ("run", "restored-from-backup", "--runtime", "compose", "--store", "etcd"),
        ("run", "lost-reply", "--service", "bank", "--runtime", "compose", "--store", "etcd"),
    ],
)  # fmt: skip
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
    assert sum(event["type"] == "ok" and event["f"] != "get" for event in events) == 100
    assert _chaos("check", out / "lost-reply--at-most-once" / "history.jsonl").returncode == 0


def test_the_servers_of_a_run_are_of_the_model_that_was_asked_for(tmp_path: Path) -> None:
    """Every start of them; the evidence names it, the command that repeats the run too, and so does the page."""
    words = ("crash-after-commit", "--semantics", "at-most-once", "--model", "threads", "--workers", "2")
    out = tmp_path / "out"
    command = [*CHAOS, "run", *words, "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        seen = [command for line in run.stderr if "calls have ended" in line for command in _of_session(run.pid)]
        assert run.wait(30) == 0
    servers = [command for command in seen if "oncekv serve" in command]
    assert len(servers) >= 2
    assert all("--model threads" in command and "--workers 2" in command for command in servers)
    summary = json.loads((out / "matrix.json").read_text())
    (cell,) = out.glob("*/cell.json")
    for record in (summary, json.loads(cell.read_text())):
        assert (record["model"], record["workers"]) == ("threads", 2)
        assert "--model threads --workers 2" in record.get("command", record.get("repeat"))
    assert "threads, 2 workers" in (out / "report.html").read_text()


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path: Path) -> None:
    """One line names the folder, and what was in it is still there."""
    (tmp_path / "thesis.txt").write_text("mine")
    done = _chaos("run", "healthy", "--out", tmp_path)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr.splitlines()[-1]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_the_command_that_repeats_a_run_is_printed_and_repeats_it(tmp_path: Path) -> None:
    """Its words, run again, make the same calls."""
    words = ("run", "lost-reply", "--semantics", "maybe", "--seed", "7", "--clients", "2", "--calls", "6")
    first = _chaos(*words, "--out", tmp_path / "first")
    assert first.returncode == 0, first.stderr
    again = next(line for line in first.stderr.splitlines() if line.startswith("again: python -m chaos "))
    assert _chaos(*again.split()[4:], "--out", tmp_path / "second").returncode == 0
    calls = [
        sorted((call["name"], call["method"], call["key"]) for call in _calls(tmp_path / run / "lost-reply--maybe"))
        for run in ("first", "second")
    ]
    assert calls[0] == calls[1]
    assert len(calls[0]) >= 12


def _calls(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_a_run_is_reported_again_from_its_files(tmp_path: Path) -> None:
    """`report` judges what a folder holds, and refuses in one line what is none of a run."""
    assert _chaos("run", "volume-lost", "--semantics", "maybe", "--out", tmp_path / "out").returncode == 0
    done = _chaos("report", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "BROKEN" in done.stdout
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000
    nothing = _chaos("report", tmp_path)
    assert nothing.returncode == 2
    assert len(nothing.stderr.splitlines()) == 1


def test_a_kept_server_is_there_until_ctrl_c(tmp_path: Path) -> None:
    """`--keep` says where server and links are, and Ctrl-C ends them, the cell judged."""
    command = [*CHAOS, "run", "healthy", "--semantics", "maybe", "--keep", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        kept = next(line for line in run.stderr if "kept: server http" in line)
        url = kept.split("server ")[1].split(",")[0]
        assert requests.get(f"{url}/readyz", timeout=5).status_code == 200
        os.kill(run.pid, signal.SIGINT)
        run.stderr.read()
        assert run.wait(30) == 130
    until(lambda: not _of_session(run.pid), what="nothing of the run is left")
    (cell,) = json.loads((tmp_path / "out" / "matrix.json").read_text())["cells"]
    assert cell["good"]


@dataclass(frozen=True)
class Interrupted:
    """A run that got SIGINT while its fault was in."""

    exit_code: int
    said: str
    left: list[str]
    out: Path


def _interrupt(scenario: str, out: Path) -> Interrupted:
    semantics = "exactly-once" if scenario == "client-crash" else "at-most-once"
    command = [*CHAOS, "run", scenario, "--semantics", semantics, "--calls", "400", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "the fault goes in" in line or (scenario == "healthy" and "clients begin" in line):
                break
        time.sleep(random.Random(f"{SEED}/{scenario}").uniform(0.0, 0.4))  # the moment is the test's own choice
        os.kill(run.pid, signal.SIGINT)
        time.sleep(0.1)
        with contextlib.suppress(ProcessLookupError):  # a person presses it twice
            os.kill(run.pid, signal.SIGINT)
        said = run.stderr.read()
        exit_code = run.wait(60)
    with contextlib.suppress(AssertionError):
        until(lambda: not _of_session(run.pid), what="nothing of the run is left")
    return Interrupted(exit_code, said, _of_session(run.pid), out)


@pytest.mark.parametrize(
    "scenario", [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.long]) for name in LOCAL]
)
def test_ctrl_c_in_the_middle_of_any_scenario(scenario: str, tmp_path: Path) -> None:
    """No process is left, so no toxic either; what was done so far is reported, its history included."""
    run = _interrupt(scenario, tmp_path / "out")
    assert run.exit_code == 130, run.said
    assert run.left == []
    assert "Traceback" not in run.said
    (cell,) = json.loads((run.out / "matrix.json").read_text())["cells"]
    assert cell["problems"][0].startswith("interrupted after ")
    assert (run.out / "report.html").exists()
    (history,) = run.out.glob("*/history.jsonl")
    assert len(history.read_text().splitlines()) > 0


def test_ctrl_c_keeps_the_cells_that_were_done(tmp_path: Path) -> None:
    """In the middle of a matrix, SIGINT ends every server and Toxiproxy, and the cells that were done stay."""
    out = tmp_path / "out"
    command = [*CHAOS, "matrix", "--quick", "--out", str(out)]
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
    assert sum(cell["good"] for cell in summary["cells"]) >= 6
    assert not summary["good"]
