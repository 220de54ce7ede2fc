"""Tests that are marked `alone` judge what a busy machine spoils: nothing else of the run is under way beside them.

Every test of a run in several processes goes through one gate, in the order of arrival, into the room: with others, or
alone. Both are locks on files (flock(2)), which a process that dies gives back. Without pytest-xdist there is nobody.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import pytest

__all__ = ["enter", "is_alone", "leave", "tidy"]

_room: list[int] = []
"""The lock that this process holds, while a test of it is in the room."""


def is_alone(item: pytest.Item) -> bool:
    """Whether it is marked so."""
    return item.get_closest_marker("alone") is not None


def enter(item: pytest.Item) -> None:
    """Wait until all others are out, or for those that want to be alone."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return
    gate = _lock(_folder(run) / "gate", fcntl.LOCK_EX)
    _room.append(_lock(_folder(run) / "room", fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH))
    os.close(gate)


def leave() -> None:
    """Let others in. Also where the next one is to be alone again: it may not begin before others have ended."""
    while _room:
        os.close(_room.pop())


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
