"""Evidence, and the data of the servers, are where `--out` says, whatever that is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.runtime.mounts import mount_of
from tests.support.repetitions import one_in

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["pct%41x", "a#b?c", "with spaces", "two\nlines", "подпапка/文件", "a:b;c", "$HOME", "-x", "up/../beside"]


def _run(scenario: str, semantics: str, folder: Path, out: str) -> subprocess.CompletedProcess[str]:
    words = ["run", scenario, "--semantics", semantics, "--seed", "7", "--calls", "10", f"--out={out}"]
    command = [sys.executable, "-m", "chaos", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("name", one_in(5, NAMES, "names of folders"))
def test_the_data_of_a_run_is_in_its_folder(tmp_path: Path, name: str) -> None:
    """A disk that is lost is the server's, so the control comes out red, and nothing is beside the folder."""
    done = _run("volume-lost", "exactly-once", tmp_path, name)
    assert done.returncode == 0, done.stderr
    out = Path(os.path.normpath(tmp_path / name))
    assert (out / "volume-lost--exactly-once" / "data" / "kv.db").is_file()
    assert [place for place, _, files in os.walk(tmp_path) if files and not Path(place).is_relative_to(out)] == []


@pytest.mark.parametrize("name", one_in(2, ["a:b", "pct%41x"], "where a clock is"))
def test_a_clock_of_a_servers_own_may_be_anywhere(tmp_path: Path, name: str) -> None:
    """The clock is found whatever the folder is called: the fault proves that the server looked at it."""
    done = _run("clock-jump", "at-most-once", tmp_path, name)
    assert done.returncode == 0, done.stderr


def test_a_mount_names_its_source_as_it_is() -> None:
    """Compose replaces variables in every value, and takes `$$` for the sign itself."""
    assert mount_of(Path("/a:b/$HOME"), "/c", read_only=True) == {
        "type": "bind", "source": "/a:b/$$HOME", "target": "/c", "read_only": True,
    }  # fmt: skip
