"""One cell of the table: one scenario against one semantics, from a healthy start to a judged end.

The order is always the same: a fresh server and fresh links; proof that every link is healthy; clients begin; the fault
strikes, holds, is healed; clients finish; everything held back arrives; the store is read; the judge compares.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chaos.faults.base import Fault
from chaos.judge import Evidence, Judgement, judge
from chaos.runtime.base import Runtime, ServerError
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, MAYBE, MEMORY, Scenario
from chaos.workload import Plan, Told, Workload
from chaos.world import World, WorldError
from oncekv.client import History

__all__ = ["COLUMNS", "Cell", "Column", "Effort", "run_cell"]

FINISH_MAX_S = 40.0


@dataclass(frozen=True)
class Column:
    """A semantics, and the delivery of the server that it talks to."""

    name: str
    semantics: str
    delivery: str = "persisted"


COLUMNS = (
    Column(MAYBE, MAYBE),
    Column(AT_LEAST_ONCE, AT_LEAST_ONCE),
    Column(MEMORY, AT_MOST_ONCE, "memory"),
    Column(AT_MOST_ONCE, AT_MOST_ONCE),
    Column(EXACTLY_ONCE, EXACTLY_ONCE),
)


@dataclass(frozen=True)
class Effort:
    """How much work a cell gets."""

    seed: int
    clients: int = 4
    calls: int = 25


@dataclass
class Cell:
    """What one cell measured. Where it could not be measured, `problems` says why, and the cell proves nothing."""

    scenario: str
    column: str
    calls: int = 0
    attempts: int = 0
    effects: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    fired: int = 0
    kept: bool = False
    red: bool = False
    violations: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Why the run must fail because of this cell; empty when it came out as it must."""
    took_s: float = 0.0

    @property
    def good(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


def run_cell(
    runtime: Runtime, scenario: Scenario, column: Column, effort: Effort, folder: Path, stop: threading.Event
) -> Cell:
    """Run and judge one cell; its history and logs go to `folder`. Raises Interrupted."""
    cell = Cell(scenario.name, column.name)
    began_s = time.monotonic()
    try:
        _measure(cell, runtime, scenario, column, effort, folder, stop)
    except (WorldError, ServerError) as error:
        cell.problems.append(f"not measured: {error}")
    cell.took_s = round(time.monotonic() - began_s, 2)
    return cell


def _measure(
    cell: Cell,
    runtime: Runtime,
    scenario: Scenario,
    column: Column,
    effort: Effort,
    folder: Path,
    stop: threading.Event,
) -> None:
    name = f"{scenario.name}--{column.name.replace('/', '-')}"
    place = folder / name
    place.mkdir(parents=True)
    plan = Plan(
        column.semantics,
        effort.clients,
        effort.calls,
        scenario.attempt_timeout_s,
        scenario.call_timeout_s,
        f"{effort.seed}/{scenario.name}/{column.name}",
    )
    fault = scenario.fault()
    with contextlib.ExitStack() as stack:
        server = runtime.server(place / "data", column.delivery)
        stack.callback(server.release)
        first = [runtime.link(f"{name}--c{number}", server) for number in range(effort.clients)]
        spare = [
            runtime.link(f"{name}--c{number}-spare", server) for number in range(effort.clients * scenario.spare_link)
        ]
        world = World(server, first, spare, stop)
        stack.callback(world.close)
        history = stack.enter_context(History(place / "history.jsonl"))
        links = [[link.url for link in (first[n], *spare[n : n + 1])] for n in range(effort.clients)]
        workload = Workload(plan, links, place, history)
        stack.callback(workload.abandon)
        world.check_healthy()
        workload.start()
        _strike(scenario, fault, world, workload, history)
        world.wait_until(lambda: not workload.running(), FINISH_MAX_S, "all clients have finished")
        if workload.failure:
            raise WorldError(f"a client failed: {workload.failure!r}")
        world.wait_healthy()
        world.wait_quiet()
        _judge(cell, scenario, column, fault, world, workload.told)


def _strike(scenario: Scenario, fault: Fault, world: World, workload: Workload, history: History) -> None:
    """Put the fault in and take it out, each time the workload has got far enough; healed whatever goes wrong."""
    for fraction in scenario.strikes_at:
        due = int(fraction * workload.total)
        world.wait_until(lambda: workload.settled >= due, FINISH_MAX_S, f"{due} calls are settled")  # noqa: B023 used at once
        try:
            fault.inject(world)
            history.nemesis("begin", scenario.name)
            fault.hold(world, scenario.hold_s)
        finally:
            fault.heal(world)
            history.nemesis("end", scenario.name)


def _judge(cell: Cell, scenario: Scenario, column: Column, fault: Fault, world: World, told: Sequence[Told]) -> None:
    rows = world.rows()
    calls = [call.judged(rows) for call in told]
    judgement = judge(column.semantics, calls)
    latencies_ms = sorted(call.took_s * 1000 for call in calls)
    cell.calls = len(calls)
    cell.attempts = sum(call.attempts for call in calls)
    cell.effects, cell.told = judgement.effects, judgement.told
    cell.kept, cell.red, cell.violations = judgement.kept, judgement.red, judgement.violations
    cell.p50_ms = round(statistics.median(latencies_ms), 1)
    cell.p99_ms = round(latencies_ms[min(len(latencies_ms) - 1, len(latencies_ms) * 99 // 100)], 1)
    cell.fired = fault.fired(_evidence(column, world, told))
    cell.problems += _problems(cell, scenario, column, judgement)


def _evidence(column: Column, world: World, told: Sequence[Told]) -> Evidence:
    attempts = [attempt for call in told for attempt in call.attempts if attempt.ending != "not sent"]
    counters = world.counters()
    return Evidence(
        sent=len(attempts),
        answered=sum(1 for attempt in attempts if attempt.ending == "ok" or attempt.ending.startswith("refused")),
        arrived=world.arrived(),
        refused=counters.get("oncekv_refusals", {}),
        failpoints=world.ask("debug.failpoints")["failpoints"],
        identified=column.semantics in (AT_MOST_ONCE, EXACTLY_ONCE),
    )


def _problems(cell: Cell, scenario: Scenario, column: Column, judgement: Judgement) -> list[str]:
    """Why this cell must fail the run."""
    problems = []
    if scenario.has_fault and cell.fired < 1:
        problems.append("the fault did not fire")
    if not judgement.kept and column.name not in scenario.may_break | scenario.must_break:
        problems.append("the promise was broken")
    if judgement.kept and column.name in scenario.must_break:
        problems.append("the control stayed green: the promise was kept")
    if column.name in scenario.must_be_red and not judgement.red:
        problems.append("the control stayed green: no call was doubled")
    return problems
