"""The clients of a scenario: how many calls they make, and which ones they keep back for the fault."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from chaos.runner.cell import KEPT_BACK
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


def _workload(history: History, calls: int, kept_back: float) -> Workload:
    clients: list[Any] = [contextlib.nullcontext(_Caller()) for _ in range(2)]
    return Workload(Plan(2, calls, 0.01, "7", kept_back), Appends(), clients, history)


@pytest.mark.parametrize("calls", [1, 2, 7, 25])
def test_what_is_kept_back_waits_for_the_fault(tmp_path: Path, calls: int) -> None:
    """Each client makes all calls but its share, and waits as long as the fault takes; released, it makes the rest."""
    first = 2 * sum(1 for index in range(calls) if index < (1 - KEPT_BACK) * calls)
    with History(tmp_path / "history.jsonl") as history:
        workload = _workload(history, calls, KEPT_BACK)
        workload.start()
        until(lambda: workload.settled == first, what="the calls before the fault")
        assert workload.running() or first == 2 * calls
        workload.release()
        until(lambda: not workload.running(), what="the end")
        assert workload.settled == 2 * calls
        assert workload.failure is None


def test_a_run_that_is_stopped_makes_none_of_them(tmp_path: Path) -> None:
    """Nobody waits for a fault that will not come."""
    with History(tmp_path / "history.jsonl") as history:
        workload = _workload(history, 10, KEPT_BACK)
        workload.start()
        until(lambda: workload.settled == 12, what="the calls before the fault")
        workload.abandon(5)
        assert not workload.running()
        assert workload.settled == 12


def test_every_strike_comes_before_the_calls_that_are_kept_back() -> None:
    """Or both would wait for each other."""
    assert all(fraction <= 1 - KEPT_BACK for row in scenarios().values() for fraction in row.strikes_at)
