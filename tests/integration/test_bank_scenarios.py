"""The scenarios against the bank: the library's promise, in the service's own database, with real processes and links.

The rest of the bank's matrix is `python -m chaos matrix --service bank`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from chaos import evidence
from chaos.judging.cell_verdict import judge_cell
from chaos.runner.cell import CellEffort, Task
from chaos.runner.tries import run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import Runtime, Serving
from chaos.runtime.postgresql import find_binaries
from chaos.scenarios import scenarios
from chaos.services import services
from tests.support.repetitions import drawn, long_unless
from tests.support.seed import SEED

BANK = services()["bank"]
BY_NAME = {column.name: column for column in BANK.columns}
NEEDS_POSTGRESQL = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL")
CONTROL = ("lost-reply", "at-least-once")
CELLS = [
    CONTROL,
    ("crash-after-execute", "exactly-once"),
    ("crash-after-commit", "at-most-once"),
    ("crash-after-commit", "idempotency-key"),
    ("duplicate-in-flight", "idempotency-key"),
    ("duplicate-while-running", "at-most-once"),
    ("late-after-ack", "at-most-once"),
    ("crash-storm", "idempotency-key"),
]


def _each() -> Iterator[ParameterSet]:
    """Every cell on both databases; `make test` has one in four of them, and the control on one of the two."""
    databases = {"sqlite": [], "postgresql": [NEEDS_POSTGRESQL]}
    short = drawn(2, [(*CONTROL, database) for database in databases], "the bank's control")
    for database, needs in databases.items():
        cells = [(*cell, database) for cell in CELLS]
        short += drawn(4, cells[1:], f"the bank on {database}")
        for case in long_unless(short, cells):
            yield pytest.param(*case.values, marks=[*case.marks, *needs])


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Runtime]]:
    """A runtime for each database, opened when first asked for."""
    with contextlib.ExitStack() as stack:
        opened: dict[str, Runtime] = {}

        def runtime(database: str) -> Runtime:
            if database not in opened:
                folder = tmp_path_factory.mktemp(f"bank-{database}")
                serving = Serving(service="bank", database=database)
                opened[database] = stack.enter_context(contextlib.closing(open_runtime("local", folder, serving)))
            return opened[database]

        yield runtime


@pytest.mark.parametrize(("name", "column", "database"), [*_each()])
def test_every_cell_of_the_bank_comes_out_as_it_must(
    runtimes: Callable[[str], Runtime], name: str, column: str, database: str, tmp_path: Path
) -> None:
    """Every transfer once in the ledger, by a call or by a view; and a retry without identity is seen to double."""
    task = Task(scenarios()[name], BY_NAME[column], CellEffort(SEED))
    cell = run_cell(runtimes(database), task, tmp_path, threading.Event())
    assert cell.good, (cell.problems, cell.violations, cell.repeat)
    assert cell.red == (column == "at-least-once")
    assert f"--service bank --database {database}" in cell.repeat


def test_money_that_came_from_nowhere_is_found(runtimes: Callable[[str], Runtime], tmp_path: Path) -> None:
    """A dump in which one account has more, or the ledger one line twice, is not explained by the calls."""
    cell = run_cell(
        runtimes("sqlite"), Task(scenarios()["healthy"], BY_NAME["idempotency-key"], CellEffort(SEED)), tmp_path,
        threading.Event(),
    )  # fmt: skip
    assert cell.good, cell.problems
    store = json.loads((tmp_path / cell.folder / evidence.STORE).read_bytes())
    forged = json.loads(json.dumps(store))
    forged["rows"]["account-0"]["value"] = str(int(forged["rows"]["account-0"]["value"]) + 1)
    (tmp_path / cell.folder / evidence.STORE).write_text(json.dumps(forged))
    assert any("the ledger does not explain" in wrong for wrong in judge_cell(tmp_path / cell.folder).violations)
    store["rows"]["ledger"]["value"] += store["transfers"][0]["token"]
    (tmp_path / cell.folder / evidence.STORE).write_text(json.dumps(store))
    assert judge_cell(tmp_path / cell.folder).red


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "bank", "--service", "bank"], "which can have: healthy, lost-request"),
        (["run", "lost-reply", "--service", "bank", "--semantics", "at-most-once/memory"], "idempotency-key"),
        (["run", "lost-reply", "--service", "bank", "--runtime", "compose"], "no --runtime"),
        (["run", "lost-reply", "--database", "postgresql"], "no --database postgresql"),
    ],
)
def test_what_the_bank_cannot_have_is_one_line(words: list[str], says: str, tmp_path: Path) -> None:
    """Wrong usage, exit code 2, and the line says what there is."""
    command = [sys.executable, "-m", "chaos", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert says in line
