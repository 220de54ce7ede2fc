"""Tests that are marked `alone` judge what a busy machine spoils: nothing else of the run is under way beside them.

Every test of a run in several processes goes through one gate, in the order of arrival, into the room: with others, or
alone. Both are locks on files (flock(2)), which a process that dies gives back. Without pytest-xdist there is nobody.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["in_room", "is_alone", "tidy"]


def is_alone(item: pytest.Item) -> bool:
    """Whether it is marked so."""
    return item.get_closest_marker("alone") is not None


@contextmanager
def in_room(item: pytest.Item) -> Iterator[None]:
    """Once all others are out, or those that want to be alone.

    Whoever was alone lets others in each time: the next test may not begin before others have ended.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        yield
        return
    gate = _lock(_folder(run) / "gate", fcntl.LOCK_EX)
    room = _lock(_folder(run) / "room", fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH)
    os.close(gate)
    try:
        yield
    finally:
        os.close(room)


def tidy(config: pytest.Config) -> None:
    """The run is over: in the process that has the others."""
    manager = config.pluginmanager.get_plugin("dsession")
    if manager is not None:
        shutil.rmtree(_folder(manager.nodemanager.testrunuid), ignore_errors=True)


def _folder(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"oncekv-alone-{run}"


def _lock(path: Path, how: int) -> int:
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, how)
    return descriptor
