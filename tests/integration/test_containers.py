"""The same promises in containers: partitions, crashes, pauses and lost networks, read from the stores themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chaos.judging.cell_verdict import Cell
from chaos.runner.cell import COLUMNS, CellEffort, Task
from chaos.runner.tries import run_cell
from chaos.runtime.base import Server, Serving
from chaos.runtime.compose import ComposeRuntime
from chaos.runtime.docker import docker
from chaos.scenarios import scenarios
from tests.hard.honest import beside
from tests.support.caller import Caller
from tests.support.engine import ROOT, left_of, need_images
from tests.support.seed import SEED
from tests.support.waiting import at_once, until

BY_NAME = {column.name: column for column in COLUMNS}
BREAKS = [
    "lost-reply",
    "partition",
    "partition-past-deadline",
    "one-way-partition-up",
    "one-way-partition-down",
    "crash-before-execute",
    "crash-after-execute",
    "crash-after-commit",
    "restart-keeps",
    "delayed-duplicate",
    "stale-after-restart",
    "session-expiry",
    "clock-jump",
    "pause",
    "disconnect",
    "bank",
]
SHORT = ("lost-reply", "partition", "crash-after-commit", "clock-jump", "pause", "disconnect")
"""One of each kind of fault; the others are for `make test-long`."""
OVERLOADED = 11
# Said inside a container: which of these addresses can be reached from there.
PROBE = """
import socket, sys
for address in sys.argv[1:]:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
        print(address)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeRuntime]:
    """A Compose project of this module's own."""
    need_images()
    with contextlib.closing(ComposeRuntime(tmp_path_factory.mktemp("compose"), Serving())) as runtime:
        yield runtime


@pytest.fixture
def server(runtime: ComposeRuntime, tmp_path: Path) -> Iterator[Server]:
    """One store of the project, on an empty volume."""
    server = runtime.server(tmp_path, "persisted")
    yield server
    server.release()


def _run(runtime: ComposeRuntime, scenario: str, column: str, folder: Path) -> Cell:
    return run_cell(runtime, Task(scenarios()[scenario], BY_NAME[column], CellEffort(SEED)), folder, threading.Event())


@pytest.mark.parametrize(
    "scenario", [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.long]) for name in BREAKS]
)
def test_at_most_once_holds_in_containers(runtime: ComposeRuntime, scenario: str, tmp_path: Path) -> None:
    """No call has two effects and no acknowledged one is lost, whatever breaks; and it provably broke."""
    cell = _run(runtime, scenario, "at-most-once", tmp_path)
    assert cell.good, (cell.problems, cell.violations)
    assert cell.fired >= 1
    assert cell.effects["2+"] == 0


@pytest.mark.long
def test_the_other_model_holds_in_containers(
    runtime: ComposeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `--model` names is what a container runs, and it keeps the same promise."""
    monkeypatch.setattr(runtime, "serving", Serving("threads"))
    server = runtime.server(tmp_path / "looked-at", "persisted")
    command = docker("inspect", "--format", "{{.Args}}", server.container)
    server.release()
    assert "--model threads" in command
    cell = _run(runtime, "crash-after-commit", "at-most-once", tmp_path)
    assert cell.good, (cell.problems, cell.violations)


@pytest.mark.parametrize(
    ("scenario", "column"),
    [
        pytest.param("crash-after-commit", "exactly-once", marks=pytest.mark.long),
        ("crash-after-commit", "at-most-once/memory"),
        pytest.param("lost-reply", "at-least-once", marks=pytest.mark.long),
        ("volume-lost", "exactly-once"),
    ],
)
def test_what_must_be_red_is_red_in_containers(
    runtime: ComposeRuntime, scenario: str, column: str, tmp_path: Path
) -> None:
    """A cell comes out as its scenario says: the controls doubled, the lost volume found out, exactly-once kept."""
    cell = _run(runtime, scenario, column, tmp_path)
    assert cell.good, (cell.problems, cell.violations)


@pytest.mark.parametrize("size", [8, pytest.param(40, marks=pytest.mark.long)])
def test_little_memory_in_a_cgroup(server: Server, size: int) -> None:
    """256 MiB for all of the server: what comes at once is taken or refused in words, and nobody is killed for it."""
    container = server.container  # type: ignore[attr-defined]  # a ComposeServer
    docker("update", "--memory", "256m", "--memory-swap", "256m", container)
    with contextlib.closing(Caller(server.url, timeout_s=120.0)) as kv, beside(server.url, "little-memory") as honest:
        putting = [partial(kv.call, "kv.put", key=f"large{n}", value="x" * 2**20) for n in range(size)]
        for number, answer in enumerate(at_once(putting, timeout_s=120.0)):
            if answer.error is None:
                assert kv.ok("kv.get", key=f"large{number}")["version"] == 1
            else:
                assert answer.code == OVERLOADED, answer.error
        until(lambda: honest.ok > 5, what="5 calls beside them")
    assert (
        docker("inspect", "--format", "{{.HostConfig.Memory}} {{.State.OOMKilled}}", container)
        == f"{256 * 2**20} false"
    )
    assert server.returncode is None
    assert honest.wrong == []
    assert honest.share > 0.5, str(honest)


def _addresses(container: str) -> list[str]:
    format_ = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    return docker("inspect", "--format", format_, container).split()


def _reachable(runtime: ComposeRuntime, network: str, *addresses: str) -> list[str]:
    command = ("--entrypoint", "python3", "oncekv:dev", "-c", PROBE, *addresses)
    return docker("run", "--rm", "--network", f"{runtime.project.name}_{network}", *command).split()


def test_a_client_has_no_way_to_a_server_but_its_link(runtime: ComposeRuntime, server: Server) -> None:
    """From the clients' network the link leads to the server; neither its name nor its address does."""
    link = runtime.link("isolation", server)
    port = link.url.rpartition(":")[2]
    container = server.container  # type: ignore[attr-defined]  # a ComposeServer
    direct = [f"{address}:8000" for address in (*_addresses(container), "kv-1", "kv-2", "kv-3")]
    reached = _reachable(runtime, "clients", f"toxiproxy:{port}", *direct)
    link.remove()
    assert reached == [f"toxiproxy:{port}"]
    assert direct[0] in _reachable(runtime, "servers", *direct), "the server is there, for those who may"


def test_the_api_that_breaks_links_is_not_for_clients_or_servers(runtime: ComposeRuntime) -> None:
    """Toxiproxy's API answers the chaos runner on the host, and nobody on the two other networks."""
    addresses = _addresses(f"{runtime.project.name}-toxiproxy-1")
    asked = [f"{host}:8474" for host in (*addresses, "toxiproxy", "toxiproxy-admin")]
    assert _reachable(runtime, "clients", *asked) == []
    assert _reachable(runtime, "servers", *asked) == []
    assert len(_reachable(runtime, "admin", *asked)) >= 1, "it is there, on the network of its own"


def test_ctrl_c_leaves_no_container(tmp_path: Path) -> None:
    """In the middle of a partition SIGINT ends the run: no container, network or volume of it is left, a report is."""
    need_images()
    options = ["--runtime", "compose", "--semantics", "at-most-once", "--calls", "400", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "chaos", "run", "partition", *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "the fault goes in" in line:
                break
        project = f"oncekv-chaos-{run.pid}"
        assert docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={project}")
        os.kill(run.pid, signal.SIGINT)
        said = run.stderr.read()
        assert run.wait(120) == 130, said
    assert left_of(project) == []
    assert (tmp_path / "out" / "report.html").exists()
