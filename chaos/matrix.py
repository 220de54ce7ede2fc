"""The matrix: every scenario against every semantics, a few cells at a time, into one folder of evidence.

Cells share nothing but Toxiproxy and the machine, and most of their time is waiting for timeouts, so several run at
once. The folder holds each cell's history and logs, and `matrix.json` with the figures, the seed and the versions.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

import oncekv
from chaos.cell import Effort, Task, run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import Runtime
from chaos.toxiproxy import VERSION as TOXIPROXY_VERSION
from chaos.verdict import Cell
from chaos.world import World

__all__ = ["FolderTaken", "Run", "run_matrix"]

SUMMARY = "matrix.json"
LIBRARIES = ("flask", "granian", "msgspec", "requests", "toxiproxy-python")


class FolderTaken(Exception):
    """The folder for the evidence holds something else; the message says so in one line."""


class Run:
    """Cells that were measured, and what they were measured with."""

    def __init__(self, runtime: str, effort: Effort, command: str) -> None:
        self.cells: list[Cell] = []
        self.complete = False
        self._facts = {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "runtime": runtime,
            "seed": effort.seed,
            "clients": effort.clients,
            "calls_per_client": effort.calls,
            "versions": _versions(),
        }
        self._began_s = time.monotonic()

    @property
    def good(self) -> bool:
        """Every promise kept, every control red, every fault fired, and nothing left out."""
        return self.complete and all(cell.good for cell in self.cells)

    def save(self, folder: Path) -> None:
        took_s = round(time.monotonic() - self._began_s, 1)
        facts = {**self._facts, "took_s": took_s, "complete": self.complete, "good": self.good}
        content = {**facts, "cells": [cell.as_json() for cell in self.cells]}
        (folder / SUMMARY).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def run_matrix(
    runtime_name: str,
    tasks: Sequence[Task],
    folder: Path,
    command: str,
    progress: Callable[[Cell, int, int], None],
    say: Callable[[str], None] = lambda _line: None,
    keep: Callable[[World], None] = lambda _world: None,
) -> Run:
    """Measure all cells; on Ctrl-C the others are ended, all that was measured is kept, and KeyboardInterrupt goes on.

    command: what repeats the run. say, keep: as in `run_cell`. Raises FolderTaken, ToxiproxyMissing, ToxiproxyFailed or
    ServerError before anything runs.
    """
    _make_room(folder)
    run = Run(runtime_name, tasks[0].effort, command)
    run.save(folder)
    with contextlib.closing(open_runtime(runtime_name, folder)) as runtime:
        try:
            for cell in _measure(run, runtime, tasks, folder, say, keep):
                run.cells.append(cell)
                progress(cell, len(run.cells), len(tasks))
            run.complete = len(run.cells) == len(tasks)
        finally:
            order = {task.name: place for place, task in enumerate(tasks)}
            run.cells.sort(key=lambda cell: order[cell.folder])
            run.save(folder)
    return run


def _measure(
    run: Run,
    runtime: Runtime,
    tasks: Sequence[Task],
    folder: Path,
    say: Callable[[str], None],
    keep: Callable[[World], None],
) -> Iterator[Cell]:
    stop = threading.Event()
    with ThreadPoolExecutor(runtime.cells_at_once, thread_name_prefix="cell") as pool:
        futures: list[Future[Cell]] = []
        for task in tasks:
            futures.append(pool.submit(run_cell, runtime, task, folder, stop, _prefixed(say, task), keep))
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            done = {cell.folder for cell in run.cells}
            run.cells += [cell for cell in _ended(futures) if cell.folder not in done]
            raise


def _ended(futures: Sequence[Future[Cell]]) -> Iterator[Cell]:
    """The cells that were under way when the run was stopped; each says so itself."""
    for future in futures:
        if not future.cancelled() and future.exception() is None:
            yield future.result()


def _prefixed(say: Callable[[str], None], task: Task) -> Callable[[str], None]:
    return lambda line: say(f"{task.scenario.name} x {task.column.name}: {line}")


def _make_room(folder: Path) -> None:
    """An empty folder; an earlier run's evidence makes way, anything else does not. Raises FolderTaken."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / SUMMARY).is_file():
            raise FolderTaken(f"{folder} is not an earlier run of this command; name another --out")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _versions() -> dict[str, str]:
    return {
        "oncekv": oncekv.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "toxiproxy": TOXIPROXY_VERSION,
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }
