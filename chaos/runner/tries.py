"""A cell, tried until it tells something of the system; on a busy machine a fault may find nothing to strike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from chaos.judging.cell_verdict import Cell
from chaos.runner.cell import Task, try_cell
from chaos.runner.environment import Environment
from chaos.runtime.base import Runtime

__all__ = ["TRIES_MAX", "run_cell"]

TRIES_MAX = 3


def run_cell(
    runtime: Runtime,
    task: Task,
    folder: Path,
    stop: threading.Event,
    say: Callable[[str], None] = lambda _line: None,
    keep: Callable[[Environment], None] = lambda _env: None,
) -> Cell:
    """Run and judge one cell, in a folder of its own within `folder`; the rest as `try_cell` has it.

    A try in which the fault found nothing to strike tells nothing of the system: it is made again, up to TRIES_MAX in
    all, and its evidence is kept within that of the next. Whatever else came out is the result, welcome or not.
    """
    place = folder / task.name
    place.mkdir(parents=True)
    inconclusive: list[str] = []
    while True:
        cell = try_cell(runtime, task, place, stop, say, keep, inconclusive)
        if not cell.tells_nothing or stop.is_set() or len(inconclusive) + 1 == TRIES_MAX:
            return cell
        inconclusive.append(cell.problems[0])
        say(f"{cell.problems[0]}; once more")
        _set_aside(place, f"try-{len(inconclusive)}")


def _set_aside(place: Path, name: str) -> None:
    """What lies there goes into a folder of its own within a new one of the same name."""
    aside = place.with_name(f"{place.name}.{name}")
    place.rename(aside)
    place.mkdir()
    aside.rename(place / name)
