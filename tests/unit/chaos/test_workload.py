"""The clients of a scenario: how many calls they make, and which ones they keep back for the fault."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chaos.runner.cell import holds
from chaos.scenarios import scenarios
from chaos.workload.generators.appends import Appends
from chaos.workload.workload import Plan, Workload
from oncekv.client import History, Ok, Outcome
from tests.support.waiting import until


class _Caller:
    def outcome(self, method: str, params: dict[str, object]) -> Outcome:
        del method, params
        return Ok({"version": 1, "value": 1, "offset": 0})

    def close(self) -> None:
        pass


def _workload(history: History, calls: int, strikes_at: Sequence[float]) -> Workload:
    clients: list[Any] = [contextlib.nullcontext(_Caller()) for _ in range(2)]
    return Workload(Plan(2, calls, 0.01, "7", holds(strikes_at)), Appends(), clients, history)


def _has_settled(workload: Workload, count: int) -> bool:
    return workload.settled == count


@pytest.mark.parametrize("calls", [1, 2, 7, 25])
@pytest.mark.parametrize("strikes_at", [(0.0,), (0.25,), (0.2, 0.5), (0.1, 0.2, 0.3)])
def test_what_is_kept_back_waits_for_its_strike(tmp_path: Path, strikes_at: tuple[float, ...], calls: int) -> None:
    """However long a fault takes to go in, it finds calls; each strike releases those up to the next one."""
    with History(tmp_path / "history.jsonl") as history:
        workload = _workload(history, calls, strikes_at)
        workload.start()
        for hold in holds(strikes_at):
            before = 2 * sum(1 for index in range(calls) if index < hold * calls)
            until(functools.partial(_has_settled, workload, before), what="the calls before the strike")
            time.sleep(0.05)
            assert workload.settled == before
            workload.release()
        until(lambda: not workload.running(), what="the end")
        assert workload.settled == 2 * calls
        assert workload.failure is None


def test_a_run_that_is_stopped_makes_none_of_them(tmp_path: Path) -> None:
    """Nobody waits for a fault that will not come."""
    with History(tmp_path / "history.jsonl") as history:
        workload = _workload(history, 10, (0.25,))
        workload.start()
        until(lambda: workload.settled == 12, what="the calls before the fault")
        workload.abandon(5)
        assert not workload.running()
        assert workload.settled == 12


def test_every_strike_is_due_before_the_calls_that_wait_for_it() -> None:
    """Or both would wait for each other."""
    for row in scenarios().values():
        assert all(due <= hold for due, hold in zip(row.strikes_at, holds(row.strikes_at), strict=True)), row.name
