"""Runs the loops under the fault library, each in a process and a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.io.shim import build, environment, has_compiler
from tests.io.store_trial import Finding

ROOT = Path(__file__).parents[2]
Loop = Callable[..., list[Finding]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fault library. Skips where nothing can compile it, which fails CI."""
    if not sys.platform.startswith("linux") or not has_compiler():
        pytest.skip("NO C COMPILER: the I/O failures need `cc` on Linux (apt-get install gcc libc6-dev)")
    return build(tmp_path_factory.mktemp("io-fault"))


@pytest.fixture
def loop(tmp_path: Path, library: Path) -> Loop:
    """`loop("store", "eio-once", first=1, step=1)`: the trials of every such N."""

    def run(what: str, fault: str, **options: str | int) -> list[Finding]:
        for folder in ("store", "durable"):
            (tmp_path / folder).mkdir()
        places = environment(library, tmp_path / "store", tmp_path / "durable", tmp_path / "control")
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with subprocess.Popen(
            [sys.executable, "-m", "tests.io.loop", what, fault, *words],
            env={**os.environ, **places}, cwd=ROOT, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            findings = [Finding(**json.loads(line)) for line in process.stdout]
        assert process.returncode == 0, f"the loop broke off after {len(findings)} trials"
        return findings

    return run
