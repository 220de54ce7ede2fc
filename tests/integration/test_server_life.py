"""The life of a server with several workers: it starts whole, ignores SIGHUP, and ends whole; under both models."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer, sqlite_url
from tests.support.server import MODELS, Node, oncekv
from tests.support.waiting import at_once, until

pytestmark = [
    pytest.mark.parametrize("model", MODELS, indirect=True, scope="session"),
    pytest.mark.usefixtures("by_exec"),
]


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_changes_nothing(fresh: Callable[..., Node], workers: int) -> None:
    """The configuration is read once; a hang-up is no reason to end or to start again."""
    node = fresh(workers=workers)
    before = node.kv.ok("server.info")["boot"]
    os.kill(node.server.pid, signal.SIGHUP)
    assert node.kv.ok("server.info")["boot"] == before
    assert node.server.stop() == 0


@pytest.mark.parametrize("which", [0, 1, -1], ids=["the one that commits", "the first", "the last"])
def test_a_worker_that_dies_takes_the_server_with_it(fresh: Callable[..., Node], which: int) -> None:
    """Half a server would hide a crash: the supervisor dies the same death, and the next start is whole."""
    node = fresh(workers=2)
    workers = sorted(set(node.server.members()) - {node.server.pid})
    assert len(workers) == 3, "two workers and the writer"
    os.kill(workers[which], signal.SIGKILL)
    assert node.server.wait_dead(10) == -signal.SIGKILL
    until(lambda: not node.server.members(), what="all workers are gone")
    node.server.start()
    assert node.kv.ok("server.info")["boot"] == 2


def test_a_killed_server_leaves_no_folders_for_ever(fresh: Callable[..., Node]) -> None:
    """What a SIGKILL leaves in the temporary folder, the next start removes."""
    node = fresh(workers=2)
    pid = node.server.pid
    node.server.kill()
    node.server.start()
    assert not list(Path(tempfile.gettempdir()).glob(f"oncekv-metrics-{pid}-*"))


def test_sigterm_right_after_ready_is_never_lost(tmp_path: Path, model: str) -> None:
    """However soon after its ready line a server is told to end, it ends, with 0."""

    def live(number: int) -> int:
        server = LocalServer(tmp_path / f"data-{number}", workers=2, extra_args=["--model", *model.split()])
        with server:
            return server.stop(20)

    for start in range(0, 12, 3):
        assert at_once([partial(live, number) for number in range(start, start + 3)]) == [0, 0, 0]


def test_a_store_of_a_newer_release_is_left_alone(fresh: Callable[..., Node]) -> None:
    """An older release says in one line that it does not know the schema, and changes nothing."""
    node = fresh()
    node.server.stop()
    path = node.server.data_dir / "kv.db"
    with contextlib.closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    done = oncekv("serve", "--listen", "127.0.0.1:0", "--store", sqlite_url(path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "schema 99" in line
    assert path.read_bytes() == before


def test_sigterm_is_heard_whichever_thread_gets_it(fresh: Callable[..., Node], model: str) -> None:
    """The kernel chooses a thread for it; an idle server ends all the same, and in order."""
    node = fresh(model=f"{model} --writer thread")
    node.kv.ok("kv.put", key="k", value="x")
    others = [int(task) for task in os.listdir(f"/proc/{node.server.pid}/task") if int(task) != node.server.pid]
    assert others
    ctypes.CDLL(None).tgkill(node.server.pid, others[0], signal.SIGTERM)
    assert node.server.wait_dead(20.0) == 0
