"""Shared servers and the seed. A test that changes what others see takes `fresh` and has a server of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from chaos.runtime.local import LocalServer
from tests.support.caller import Caller
from tests.support.crossing import Crossing
from tests.support.node import Node
from tests.support.seed import SEED

# A busy machine is no finding: no test judges an absolute time.
hypothesis.settings.register_profile("oncekv", deadline=None)
hypothesis.settings.load_profile("oncekv")


def pytest_report_header() -> str:
    """Print the seed, so that a failed run can be had again."""
    return f"seed: {SEED} (ONCEKV_SEED={SEED} gives it again)"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With NO_SKIPS=1 (.ci/run sets it) a skipped test fails the run: what should run there must run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") == "1" and reporter and reporter.stats.get("skipped"):
        reporter.write_line(f"{len(reporter.stats['skipped'])} tests were skipped, and NO_SKIPS=1 forbids it")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _start(data_dir: Path, *, token: str | None = None, **options: Any) -> Node:
    server = LocalServer(data_dir, **options).start()
    return Node(server, Caller(server.url, token))


def _end(node: Node) -> None:
    node.kv.close()
    node.server.kill()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The server that most tests share: persisted, one worker, no failpoints, no tokens."""
    node = _start(tmp_path_factory.mktemp("shared") / "data")
    yield node
    _end(node)


@pytest.fixture(scope="session")
def kv(node: Node) -> Caller:
    """A caller of the shared server."""
    return node.kv


@pytest.fixture(scope="session")
def armed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A shared server with failpoints; each test arms them for its own keys, and uses them up."""
    node = _start(tmp_path_factory.mktemp("armed") / "data", failpoints=True)
    yield node
    _end(node)


@contextlib.contextmanager
def _starting(root: Path) -> Iterator[Callable[..., Node]]:
    """What starts servers below `root`, and ends them all."""
    nodes: list[Node] = []

    def start(data: str = "data", **options: Any) -> Node:
        nodes.append(_start(root / data, **{"name": f"server{len(nodes)}", **options}))
        return nodes[-1]

    yield start
    for node in nodes:
        _end(node)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts servers for one test; `data=` names the directory, so that two may share it."""
    with _starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def fresh_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Node]]:
    """As `fresh`, for servers that all tests of one file share."""
    with _starting(tmp_path_factory.mktemp("module")) as start:
        yield start


@pytest.fixture(scope="session")
def crossings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Crossing]]:
    """The servers of `tests.support.crossing`, one for each mode, made when its first rule asks for it."""
    made: dict[str, Crossing] = {}

    def crossing(mode: str) -> Crossing:
        if mode not in made:
            made[mode] = Crossing(mode, tmp_path_factory.mktemp("crossing") / mode)
        return made[mode]

    yield crossing
    for crossing_made in made.values():
        crossing_made.close()
