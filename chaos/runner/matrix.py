"""The matrix: every scenario against every semantics, a few cells at a time, into one folder of evidence.

Cells share nothing but Toxiproxy and the machine, and most of their time is waiting for timeouts, so several run at
once. The folder holds each cell's history and logs, and `matrix.json` with the figures, the seed and the versions.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import oncekv
from chaos import evidence
from chaos.evidence import RunRecord
from chaos.judging.cell_verdict import Cell
from chaos.runner.cell import Task
from chaos.runner.environment import Environment
from chaos.runner.tries import run_cell
from chaos.runtime import open_runtime
from chaos.runtime.base import Runtime, Serving
from chaos.runtime.toxiproxy import VERSION as TOXIPROXY_VERSION

__all__ = ["FolderTaken", "run_is_good", "run_matrix"]

OWN_FILES = (evidence.SUMMARY, "table.md", "report.html", "no-links.json", "addresses.json", "members.json")
LIBRARIES = ("flask", "httptools", "msgspec", "requests", "toxiproxy-python")


class FolderTaken(Exception):
    """The folder for the evidence holds something else; the message says so in one line."""


def run_is_good(run: RunRecord, cells: Sequence[Cell]) -> bool:
    """Every promise kept, every control red, every fault fired, and nothing left out."""
    return run.complete and bool(cells) and all(cell.good for cell in cells)


def run_matrix(
    runtime_name: str,
    tasks: Sequence[Task],
    folder: Path,
    command: str,
    progress: Callable[[Cell, int, int], None],
    say: Callable[[str], None] = lambda _line: None,
    keep: Callable[[Environment], None] = lambda _env: None,
    serving: Serving = Serving(),  # noqa: B008 it is frozen
) -> list[Cell]:
    """Measure all cells; on Ctrl-C the others are ended, all that was measured is kept, and KeyboardInterrupt goes on.

    command: what repeats the run. say, keep: as in `run_cell`. Raises FolderTaken, ToxiproxyMissing, ToxiproxyFailed or
    ServerError before anything runs.
    """
    effort, began_s = tasks[0].effort, time.monotonic()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    run = RunRecord(
        began, command, runtime_name, effort.seed, effort.clients, effort.calls, _versions(),
        model=serving.model, workers=serving.workers, service=serving.service, database=serving.database,
        store=serving.store,
    )  # fmt: skip
    cells: list[Cell] = []
    _make_room(folder)
    evidence.write_run(folder, run)
    with contextlib.closing(open_runtime(runtime_name, folder, serving)) as runtime:
        try:
            for cell in _measure(cells, runtime, tasks, folder, say, keep):
                cells.append(cell)
                progress(cell, len(cells), len(tasks))
            run.complete = len(cells) == len(tasks)
        finally:
            order = {task.name: place for place, task in enumerate(tasks)}
            cells.sort(key=lambda cell: order[cell.folder])
            run.cells, run.good = [cell.as_json() for cell in cells], run_is_good(run, cells)
            run.took_s = round(time.monotonic() - began_s, 1)
            evidence.write_run(folder, run)
    return cells


def _measure(
    cells: list[Cell],
    runtime: Runtime,
    tasks: Sequence[Task],
    folder: Path,
    say: Callable[[str], None],
    keep: Callable[[Environment], None],
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
            done = {cell.folder for cell in cells}
            cells += [cell for cell in _ended(futures) if cell.folder not in done]
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
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            if stranger := _stranger(folder):
                raise FolderTaken(f"{folder} is not an earlier run of this command: {stranger}; name another --out")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderTaken(f"cannot write to {folder}: {error.strerror}; name another --out") from None


def _stranger(folder: Path) -> str:
    """What in it is not ours, in words; empty if all is."""
    try:
        cells = {cell["folder"] for cell in evidence.read_run(folder).cells}
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return "it has no summary of one"
    for entry in sorted(folder.iterdir()):
        ours = entry.name in cells or (entry / evidence.CELL).exists() or (entry / evidence.HISTORY).exists()
        if not (ours or entry.name in OWN_FILES or entry.suffix == ".log"):
            return f"{entry.name} is none of its files"
    return ""


def _versions() -> dict[str, str]:
    return {
        "oncekv": oncekv.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "toxiproxy": TOXIPROXY_VERSION,
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }
