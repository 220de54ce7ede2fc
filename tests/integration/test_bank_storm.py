"""A storm on the bank: its service is killed again and again while links flap and messages arrive twice.

8 clients, 20 SIGKILLs to a service of two processes, calls under sessions and under Idempotency-Keys, on either
database; each message has a copy that arrives at the same moment, which no retry has asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chaos.evidence import Counts
from chaos.faults.duplicate_request import DuplicateRequest
from chaos.faults.storm import Storm
from chaos.runner.cell import CellEffort, Task, run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import Serving
from chaos.runtime.postgresql import find_binaries
from chaos.scenarios import scenarios
from chaos.services import services
from tests.support.seed import SEED

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

KILLS = 20
CLIENTS = 8
COLUMNS = {column.name: column for column in services()["bank"].columns}
DATABASES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL")),
]


class DoubledStorm(Storm):
    """Every request comes twice besides."""

    def __init__(self) -> None:
        super().__init__(KILLS)
        self._doubling = DuplicateRequest()
        self.doubled = 0

    def inject(self, env: Environment) -> None:
        self._doubling.inject(env)
        super().inject(env)

    def heal(self, env: Environment) -> None:
        super().heal(env)
        self._doubling.heal(env)

    def fired(self, counts: Counts) -> int:
        self.doubled = self._doubling.fired(counts)
        return super().fired(counts)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("column", ["exactly-once", "idempotency-key"])
def test_a_storm_loses_nothing_and_doubles_nothing(tmp_path: Path, column: str, database: str) -> None:
    """Every transfer that was told ok is in the ledger once, none twice, none lost, and the total is what it was."""
    fault = DoubledStorm()
    storm = dataclasses.replace(scenarios()["crash-storm"], fault=lambda: fault, proxy=True)
    serving = Serving(service="bank", database=database)
    with contextlib.closing(open_runtime("local", tmp_path / "runtime", serving)) as runtime:
        task = Task(storm, COLUMNS[column], CellEffort(SEED, CLIENTS))
        cell = run_cell(runtime, task, tmp_path / "storm", threading.Event())
    assert cell.good, (cell.problems, cell.violations)
    assert cell.effects["2+"] == 0
    assert cell.effects["0"] <= cell.told["definite"] + cell.told["unknown"], "told ok, and not in the ledger"
    assert cell.fired == KILLS
    assert fault.doubled > KILLS, "hardly a message came twice: not much of a storm"
    assert cell.told["ok"] >= KILLS * CLIENTS / 4, "hardly a call got through: not much of a storm"
