"""The scenarios of shared stores in containers: servers, the store's members and Toxiproxy are all containers there,
and every cell comes out as on local processes.

`make test` has one of each kind on etcd, and the control on PostgreSQL; `make test-long` has all of them.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.runner.cell import COLUMNS, CellEffort, Task
from chaos.runner.tries import run_cell
from chaos.runtime.base import OWN, Serving
from chaos.runtime.compose import ComposeRuntime
from chaos.runtime.docker import docker
from chaos.runtime.stores import SHARED
from chaos.scenarios import scenarios
from tests.support.engine import assert_hardened, left_of, need_images
from tests.support.one_cell import assert_as_it_must
from tests.support.seed import SEED

BY_NAME = {column.name: column for column in COLUMNS}
SHORT = {
    ("etcd", "server-dies-for-good", "exactly-once"),
    ("etcd", "store-commit-late", "at-most-once"),
    ("etcd", "store-majority-lost", "at-most-once"),
    ("postgres", "primary-promoted-async", "at-most-once"),
}
EACH = [
    pytest.param(*cell, marks=[] if cell in SHORT else [pytest.mark.long])
    for cell in [
        (store, row.name, column.name)
        for store in sorted(SHARED)
        for row in scenarios().values()
        for column in COLUMNS
        if row.needs_shared and row.runs_on("compose", store)
    ]
]


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ComposeRuntime]]:
    """The runtime with servers on that store, made when it is first asked for. When it is closed, no container, network
    or volume of it is left.
    """
    need_images(*SHARED)
    made: dict[str, ComposeRuntime] = {}

    def runtime(store: str) -> ComposeRuntime:
        if store not in made:
            for other in [*made]:  # one at a time: the two would share a project's name
                _close(made.pop(other))
            made[store] = ComposeRuntime(tmp_path_factory.mktemp(store), Serving(store=store))
        return made[store]

    yield runtime
    for runtime_made in made.values():
        _close(runtime_made)


def _close(runtime: ComposeRuntime) -> None:
    runtime.close()
    assert left_of(runtime.project.name) == []


def test_a_broken_member_is_a_container(on: Callable[[str], ComposeRuntime]) -> None:
    """It is ended by `docker kill`, or stands still by `docker pause`, and runs again when the store is restored."""
    runtime = on("etcd")
    with contextlib.closing(runtime.store("members", OWN)) as store:
        members = _members(runtime)
        for name in members:
            assert_hardened(name)
        assert "SIGKILL" in store.kill_leader()
        assert sorted(_states(members)) == ["exited 137", "running 0", "running 0"]
        assert "fell silent" in store.pause_leader()
        assert sorted(_states(members)) == ["exited 137", "paused 0", "running 0"]
        store.restore()
        assert _states(members) == ["running 0"] * 3
    assert _members(runtime) == [], "the store's own engine ends with it"


def test_nobody_but_toxiproxy_is_on_the_network_of_a_store(on: Callable[[str], ComposeRuntime]) -> None:
    """So no server has another way to a member than its links."""
    runtime = on("etcd")
    with contextlib.closing(runtime.store("network", OWN)):
        members = _members(runtime)
        (network,) = {*_networks(members[0])}
        (found,) = json.loads(docker("network", "inspect", network))
        beside = {one["Name"] for one in found["Containers"].values()} - {*members}
        assert beside == {runtime.project.container("toxiproxy")}
        assert found["Internal"]


@pytest.mark.parametrize(("store", "name", "column"), EACH)
def test_every_cell_comes_out_as_it_must(
    on: Callable[[str], ComposeRuntime], store: str, name: str, column: str, tmp_path: Path
) -> None:
    """As on local processes: the fault fired, what must hold does, and a control comes out red."""
    task = Task(scenarios()[name], BY_NAME[column], CellEffort(SEED))
    cell = run_cell(on(store), task, tmp_path / "cell", threading.Event())
    assert_as_it_must(cell, scenarios()[name])


def _members(runtime: ComposeRuntime) -> list[str]:
    """The containers of engines that one store has for itself."""
    names = docker("ps", "--all", "--format", "{{.Names}}").split()
    return [name for name in names if name.startswith(f"{runtime.project.name}-etcd-") and "-etcd-0-" not in name]


def _states(containers: list[str]) -> list[str]:
    return docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", *containers).splitlines()


def _networks(container: str) -> list[str]:
    return list(json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)))
