"""Tests in several processes: what is marked `alone` overlaps with nothing. Real processes of pytest-xdist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
CONFTEST = """
import pytest
from tests.support import alone

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with alone.in_room(item):
        return (yield)

def pytest_sessionfinish(session):
    alone.tidy(session.config)
"""
TESTS = """
import os, pytest, time
from pathlib import Path

def stay(name):
    began = time.monotonic()
    time.sleep(0.2)
    ended = time.monotonic()
    assert list(Path(os.environ["TMPDIR"]).glob("oncekv-alone-*/room"))
    Path(f"{name}.times").write_text(f"{began} {ended}")

@pytest.mark.parametrize("n", range(12))
def test_in_company(n):
    stay(f"company{n}")

@pytest.mark.alone
@pytest.mark.parametrize("n", range(2))
def test_alone(n):
    stay(f"alone{n}")
"""


def test_nothing_is_beside_it(tmp_path: Path) -> None:
    """And the others are beside each other."""
    for name, text in (("conftest.py", CONFTEST), ("test_it.py", TESTS), ("pytest.ini", "[pytest]\nmarkers = alone\n")):
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(tmp_path)}
    for mine in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[mine]
    command = [sys.executable, "-m", "pytest", "-n", "4", "-p", "no:cacheprovider", "-q"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
    times = {
        path.stem: tuple(map(float, path.read_text().split())) for path in tmp_path.glob("*.times")
    }  # when it began and ended
    assert len(times) == 14

    def overlap(one: str, other: str) -> bool:
        return one != other and times[one][0] < times[other][1] and times[other][0] < times[one][1]

    beside = {name for name in times for other in times if overlap(name, other)}
    assert not list(tmp_path.glob("oncekv-alone-*")), "it leaves nothing behind"
    assert beside
    assert not [name for name in beside if name.startswith("alone")]
