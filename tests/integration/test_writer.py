"""The writer's process: what its silence stops and what not, and that nobody waits for one that is broken."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path

import pytest

from chaos.runtime.local import LocalServer, oncekv_command
from tests.support.caller import Caller
from tests.support.repetitions import one_in
from tests.support.replies import Answer
from tests.support.seed import unique
from tests.support.server import MODELS, Node, oncekv
from tests.support.waiting import at_once, in_background, until

PROGRAM = """
import sys
from oncekv import cli
import oncekv.server.{module} as module

def fail(*_):
    raise MemoryError("planted")

module.{name} = fail
sys.exit(cli.main())
"""
SOON = """
import sys
from oncekv import cli
from oncerpc.server.watchdog import Watchdog

init = Watchdog.__init__
Watchdog.__init__ = lambda self, running, _bound_ms: init(self, running, 600)
sys.exit(cli.main())
"""
LARGE = "x" * 40_000
WRITES = 40
"""More bytes than a socket takes while nobody reads."""


@pytest.fixture(params=MODELS)
def own_writer(request: pytest.FixtureRequest, fresh: Callable[..., Node]) -> Node:
    """A server of one worker and its writer."""
    return fresh(model=f"{request.param} --writer process", failpoints=True)


def _writer(node: Node) -> int:
    """The process beside the one that serves."""
    (pid,) = set(node.server.members()) - {node.server.pid}
    return pid


def _stop(pid: int) -> None:
    """Until each of its threads stands: on a busy machine some run on for a while after the signal."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path("/proc", str(pid), "task")
    until(lambda: all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.glob("*/stat")))


def test_the_default_has_a_writer_where_there_is_a_second_core(fresh: Callable[..., Node]) -> None:
    """One process serves, one commits; on one core, or if told so, it is one process."""
    cores = len(os.sched_getaffinity(0))
    assert len(fresh("auto").server.members()) == min(cores, 2)
    assert len(fresh("one", extra_args=["--writer", "thread"]).server.members()) == 1
    first = sorted(os.sched_getaffinity(0))[0]
    assert len(fresh("pinned", command=["taskset", "-c", str(first), *oncekv_command()]).server.members()) == 1


def test_both_processes_count(own_writer: Node) -> None:
    """`/metrics` tells what arrived at the one process and what ran in the other."""
    own_writer.kv.ok("kv.put", key="k", value="counted")
    shown = own_writer.kv.fetch("GET", "/metrics").body.decode()
    assert 'oncekv_attempts_total{method="kv.put"} 1.0' in shown
    assert 'oncekv_effects_total{method="kv.put"} 1.0' in shown


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
def test_the_announced_pid_stands_for_the_writer_too(own_writer: Node, is_stopped: bool) -> None:
    """SIGKILL to it ends both, whatever the writer does at the time, and the port is free at once."""
    own_writer.kv.ok("kv.put", key="k", value="kept")
    server, writer = own_writer.server, _writer(own_writer)
    if is_stopped:
        _stop(writer)
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait_dead(10) == -signal.SIGKILL
    socket.create_server(("127.0.0.1", server.port)).close()
    until(lambda: not server.members(), what="the writer is gone too")
    server.start()
    assert own_writer.kv.get("k") == ("kept", 1)


def test_a_writer_that_dies_takes_the_server_with_it(own_writer: Node) -> None:
    """By the same death, so that who looks at the announced pid sees how."""
    os.kill(_writer(own_writer), signal.SIGKILL)
    assert own_writer.server.wait_dead(10) == -signal.SIGKILL
    assert not own_writer.server.members()


def test_a_stop_waits_until_the_store_is_closed(own_writer: Node) -> None:
    """SIGTERM: exit 0 comes when the writer has closed the store, so that no log is left beside it."""
    own_writer.kv.ok("kv.put", key="k", value="x")
    assert own_writer.server.stop() == 0
    assert not own_writer.server.members()
    assert [file.name for file in own_writer.server.data_dir.iterdir()] == ["kv.db"]


def test_while_the_writer_stands_reads_go_on_and_writes_wait(own_writer: Node) -> None:
    """Nobody waits to send: reads and health are answered, and every write is, once the writer goes on."""
    key = unique()
    own_writer.kv.ok("kv.put", key=key, value="before")
    _stop(_writer(own_writer))
    callers = [Caller(own_writer.server.url) for _ in range(WRITES)]
    writes = [in_background(partial(caller.call, "kv.put", key=unique(), value=LARGE)) for caller in callers]
    try:
        for _ in range(5):
            assert own_writer.kv.get(key) == ("before", 1)
        assert not any(write.done() for write in writes)
    finally:
        os.kill(_writer(own_writer), signal.SIGCONT)
    answers: list[Answer] = [write.result(60) for write in writes]
    assert [answer.ok for answer in answers] == [{"version": 1}] * WRITES
    for caller in callers:
        caller.close()


BROKEN = [
    ("process.writer", "pack_answers"),
    ("process.writer", "unpack_calls"),
    ("engine.remote_committer", "pack_calls"),
]


@pytest.mark.parametrize(
    ("module", "name", "workers"),
    one_in(3, [(*one, workers) for one in BROKEN for workers in (1, 2)], "what breaks between worker and writer"),
)
def test_nobody_waits_for_a_way_that_is_broken(tmp_path: Path, module: str, name: str, workers: int) -> None:
    """If calls or answers cannot be handed over the whole server ends: a server that hangs would look alive."""
    command = [sys.executable, "-c", PROGRAM.format(module=module, name=name)]
    server = LocalServer(tmp_path / "data", command=command, workers=workers, extra_args=["--writer", "process"])
    if workers == 2:
        server = LocalServer(tmp_path / "data", command=command, workers=workers)
    with server:
        with contextlib.closing(Caller(server.url)) as caller, pytest.raises((ConnectionError, HTTPException)):
            caller.call("kv.put", key="k", value="x")
        assert server.wait_dead(10) != 0
        until(lambda: not server.members(), what="all processes are gone")
        assert "planted" in server.log.read_text()


def test_a_standing_committer_shows_its_stacks(tmp_path: Path) -> None:
    """The watchdog looks at the writer too: its dump names the committer, not only those who wait for it."""
    command = [sys.executable, "-c", SOON]
    with LocalServer(tmp_path / "data", command=command, failpoints=True, extra_args=["--writer", "process"]) as server:
        with contextlib.closing(Caller(server.url)) as caller:
            caller.ok("debug.failpoint", name="after_execute", action="sleep:3000")
            caller.ok("kv.put", key="k", value="x")
        said = server.log.read_text()
        assert said.count("a call has been stuck for over 600 ms") == 2, "the worker's, and the writer's"
        assert "committer.py" in said


def test_several_workers_have_a_writer() -> None:
    """Who asks for something else is told, and not passed over."""
    done = oncekv("serve", "--store", "sqlite:////tmp/never/kv.db", "--workers", "2", "--writer", "thread")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--writer thread" in done.stderr


def test_large_replies_pass_side_by_side(own_writer: Node) -> None:
    """Replies of megabytes come whole, whatever stands beside them in a message."""
    kv = own_writer.kv
    values = {unique(): chr(97 + number) * 1_000_000 for number in range(3)}
    for key, value in values.items():
        kv.ok("kv.put", key=key, value=value)
    ops = [{"op": "get", "key": key} for key in values] + [{"op": "increment", "key": unique()}]
    callers = [Caller(own_writer.server.url) for _ in range(8)]
    answers = at_once([partial(caller.call, "kv.txn", ops=ops) for caller in callers], 60)
    for answer in answers:
        assert [result["value"] for result in answer.ok["results"][:3]] == list(values.values())
    for caller in callers:
        caller.close()
