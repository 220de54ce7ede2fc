"""The benchmark runs: the smallest possible round of one measurement, and what is left when it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def wrk() -> None:
    """Skips aloud where there is no wrk."""
    if shutil.which("wrk") is None:
        pytest.skip("NO WRK: the benchmark is not tried (apt-get install wrk)")


def _bench(out: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "--effort", "smoke", "--out", str(out), *words],
        cwd=ROOT, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.usefixtures("wrk")
def test_a_round_of_one_measurement_gives_table_json_and_plot(tmp_path):
    """Real load on a real server: identity on and off, one pair, without one wrong reply."""
    with _bench(tmp_path, "--only", "identity") as bench:
        table, progress = bench.communicate(timeout=120)
    assert bench.returncode == 0, progress
    found = json.loads((tmp_path / "bench" / "bench.json").read_text())
    cells = {cell["row"]: cell for cell in found["parts"][0]["cells"]}
    assert all(cell["faults"] == 0 for cell in cells.values())
    assert cells["with an identity"]["median"] > 10
    assert found["versions"]["wrk"]
    assert found["load_average"]["after"]
    assert "time that an identity adds to a call" in table
    assert (tmp_path / "bench" / "identity.svg").read_text().startswith("<svg")
    assert not (tmp_path / "bench" / "data").exists(), "stores are not left behind"


@pytest.mark.usefixtures("wrk")
def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing_running(tmp_path):
    """Exit code 130, a readable file, and no server or load generator that outlives it."""
    with _bench(tmp_path, "--only", "shapes") as bench:
        written = tmp_path / "bench" / "bench.json"
        until(written.exists, what="the first cell")
        bench.send_signal(signal.SIGINT)
        _, progress = bench.communicate(timeout=60)
    assert bench.returncode == 130, progress
    assert json.loads(written.read_text())["parts"][0]["cells"]
    until(lambda: not _running_in(tmp_path), what="the end of every server")


def test_without_wrk_one_line_says_how_to_get_it(tmp_path):
    """Nothing is started, and the exit code is not 0."""
    with _bench(tmp_path, PATH=str(tmp_path)) as bench:
        _, said = bench.communicate(timeout=60)
    assert bench.returncode == 1
    assert said.splitlines() == [
        "bench: wrk, the load generator, is missing: apt-get install wrk (or https://github.com/wg/wrk)"
    ]


def _running_in(folder: Path) -> list[str]:
    """The command lines of the processes that name the folder."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            try:
                words = (place / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:  # it ended while we looked
                continue
            if str(folder) in words:
                found.append(words)
    return found
