"""Servers and clients that are killed on a busy machine: what the faults take for proof, and what is called left."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.evidence import Counts
from chaos.faults.crash import Crash
from chaos.runner.environment import EnvironmentFailed, TimedOut
from chaos.workload import client_process
from chaos.workload.clients import ClientPlan


def _env(*, dies: bool, runs: bool, code: int | None = None) -> Any:
    def wait_until(holds: Callable[[], bool], _timeout_s: float, what: str) -> None:
        if not holds():
            raise TimedOut(what)

    server = SimpleNamespace(crashes=int(dies), returncode=code)
    workload = SimpleNamespace(running=lambda: runs)
    return SimpleNamespace(server=server, workload=workload, wait_until=wait_until, wait=lambda _seconds: None)


@pytest.mark.parametrize(("dies", "runs", "deaths"), [(True, True, 1), (True, False, 1), (False, False, 0)])
def test_a_crash_waits_no_longer_than_calls_can_come(dies: bool, runs: bool, deaths: int) -> None:
    """A strike that finds no call any more is no trouble of the cell: the deaths before it are the proof."""
    crash = Crash("after_commit")
    crash.hold(_env(dies=dies, runs=runs), 0.1)
    assert crash.fired(Counts()) == deaths


def test_a_crash_that_no_call_comes_to_is_told() -> None:
    """While calls come and the server lives, the cell proves nothing."""
    with pytest.raises(EnvironmentFailed, match="a call comes to after_commit"):
        Crash("after_commit").hold(_env(dies=False, runs=True), 0.1)


def test_a_server_that_ends_otherwise_is_told_so() -> None:
    """An exit is no crash, and nobody waits for one that cannot come any more."""
    with pytest.raises(EnvironmentFailed, match="ended with 1, and not by its failpoint"):
        Crash("after_commit").hold(_env(dies=False, runs=True, code=1), 0.1)


def test_what_a_later_process_finished_is_not_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that finished a call of the outbox and was killed before it could say so left nothing unfinished."""
    outboxes = itertools.chain([[("kv.append", {"key": "k"})], []])
    monkeypatch.setattr(client_process, "_calls_in", lambda _outbox: next(outboxes))
    client = client_process.ClientProcess(ClientPlan("exactly-once", [], 1.0, 1.0, None, str(tmp_path / "outbox"), "1"))
    client._process = SimpleNamespace(kill=lambda: None, wait=lambda _timeout_s: None)  # type: ignore[assignment]
    assert client.kill() == (0, 1)
    assert client.kill() == (0, 0)
    assert client._left == []
