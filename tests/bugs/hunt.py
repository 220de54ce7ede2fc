"""The hunt: each bug against its scenarios until one of them catches it, and each of these without the bug.

A scenario that is always red would catch every bug; so whatever caught one must be green against the product itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from chaos.runtime.base import Serving
from tests.bugs.base import Bug
from tests.bugs.trial import Plan, Stopped, Trial, TrialFailed, run

__all__ = ["Control", "Hunt", "control", "controls_of", "hunt", "run_all"]

AT_ONCE = 2
T = TypeVar("T")


@dataclass
class Hunt:
    """One bug, and what its trials said. `tries` counts the seeds that the catching pair, or the last one, took."""

    bug: Bug
    plan: Plan | None = None
    trial: Trial | None = None
    tries: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether it was caught, and by what it does wrong."""
        return self.trial is not None and self.trial.is_catch and not self.problems


@dataclass
class Control:
    """The same cell without a bug."""

    plan: Plan
    problems: list[str]

    @property
    def good(self) -> bool:
        return not self.problems


def hunt(
    bug: Bug,
    seed: int,
    folder: Path,
    without: Sequence[str] = (),
    stop: threading.Event | None = None,
    model: str = Serving.model,
) -> Hunt:
    """Try the bug's cells, each with a few seeds, on servers of that model, until one catches it. Raises Stopped."""
    found = Hunt(bug)
    for scenario, column in bug.caught_by:
        for found.tries in range(1, bug.tries_max + 1):
            plan = Plan(
                scenario, column, seed + found.tries - 1, bug.name, bug.calls, tuple(without), model, bug.service,
                bug.store,
            )  # fmt: skip
            try:
                trial = run(plan, folder / f"{bug.name}--{scenario}--{column}--{found.tries}", stop)
            except TrialFailed as failure:
                found.problems.append(str(failure))
                return found
            found.plan, found.trial = plan, trial
            if trial.crashed:
                found.problems.append(f"the planted code fell over: {trial.crashed}")
                return found
            if trial.is_catch:
                return found
    why = found.trial.problems if found.trial else ["it names no scenario"]
    found.problems.append("slipped through" + "".join(f"; {problem}" for problem in why))
    return found


def controls_of(hunts: Iterable[Hunt]) -> list[Plan]:
    """Every cell that caught a bug, once, without the bug."""
    plans = [found.plan for found in hunts if found.plan is not None]
    cells = {(plan.service, plan.store, plan.scenario, plan.column): plan for plan in plans}
    return [replace(plan, bug=None, without=()) for plan in cells.values()]


def run_all(
    bugs: Sequence[Bug], seed: int, folder: Path, stop: threading.Event, model: str
) -> Iterator[Hunt | Control]:
    """Every hunt and then every control, as they end; a few at a time, for most of their time is waiting.

    Once `stop` is set those under way are ended, and the others do not begin.
    """
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hunt") as pool:
        hunts: list[Hunt] = []
        for found in _as_they_end([pool.submit(hunt, bug, seed, folder, (), stop, model) for bug in bugs]):
            hunts.append(found)
            yield found
        in_order = sorted(hunts, key=lambda found: found.bug.number)
        yield from _as_they_end([pool.submit(control, plan, folder, stop) for plan in controls_of(in_order)])


def _as_they_end(futures: Sequence[Future[T]]) -> Iterator[T]:
    for future in as_completed(futures):
        if not isinstance(future.exception(), Stopped):
            yield future.result()


def control(plan: Plan, folder: Path, stop: threading.Event | None = None) -> Control:
    """Try a cell without a bug. Raises Stopped."""
    try:
        place = f"control--{plan.service}--{plan.store}--{plan.scenario}--{plan.column}"
        return Control(plan, run(plan, folder / place, stop).problems)
    except TrialFailed as failure:
        return Control(plan, [str(failure)])
