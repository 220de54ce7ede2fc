"""Shared servers and the seed. A test that changes what others see takes `fresh` and has a server of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.mark import ParameterSet

from chaos.runtime import local_server
from tests.support import alone, side_by_side
from tests.support.across_restarts import Crossing
from tests.support.caller import Caller
from tests.support.preloaded import spawn_preloaded
from tests.support.seed import SEED, randomness
from tests.support.server import MODELS, WAYS, Node, engine_of, server_on

# A busy machine is no finding: no test judges an absolute time.
hypothesis.settings.register_profile("oncekv", deadline=None)
hypothesis.settings.load_profile("oncekv")

# Quicker, and otherwise the same; see there.
local_server.LocalServer.spawn = staticmethod(spawn_preloaded)  # type: ignore[method-assign]


def pytest_report_header() -> str:
    """Print the seed, so that a failed run can be had again."""
    return f"seed: {SEED} (ONCEKV_SEED={SEED} gives it again)"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With NO_SKIPS=1 (.ci/run sets it) a skipped test fails the run: what should run there must run."""
    alone.tidy(session.config)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") == "1" and reporter and reporter.stats.get("skipped"):
        reporter.write_line(f"{len(reporter.stats['skipped'])} tests were skipped, and NO_SKIPS=1 forbids it")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say what may run beside what, and what begins first; with --long-one-in draw of the long repetitions."""
    if one_in := config.getoption("--long-one-in"):
        side_by_side.draw_long(config, items, one_in)
    side_by_side.arrange(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: the groups were heard."""
    side_by_side.check(session)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what is left to `make test-long`."""
    side_by_side.count_left_out(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What is marked `alone` has the machine for itself."""
    with alone.in_room(item):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist ends; each has left out the same."""
    side_by_side.take_over(node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last lines say what did not run here."""
    if left_out := side_by_side.left_out(terminalreporter.config):
        terminalreporter.write_line(
            f"{left_out} long repetitions were left out: `ONCEKV_SEED={SEED} make test-long` runs them"
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--models threads`, say, while one works on something else."""
    parser.addoption("--models", default=",".join(WAYS), help="ways to serve for the contract tests")
    parser.addoption(
        "--long-one-in", type=int, default=0, metavar="N",
        help="of the long repetitions of each test run one in N, drawn by the seed (0: whatever -m says)",
    )  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every contract test that starts a server runs on each way to serve; other tests name the model that they mean."""
    if "model" in metafunc.fixturenames and "contract" in metafunc.definition.path.parts:
        names = metafunc.config.getoption("--models").split(",")
        is_wire = metafunc.definition.get_closest_marker("wire") is not None
        ways = list(_ways(names, is_wire, metafunc.definition.nodeid))
        metafunc.parametrize("model", ways, indirect=True, scope="session")


def _ways(names: Sequence[str], is_wire: bool, test: str) -> Iterator[ParameterSet]:
    """What is before the store differs by model, what is behind it by engine; of the engines besides SQLite one is
    drawn for each test. The rest are long repetitions.
    """
    drawn = randomness(test).choice([name for name in names if engine_of(name) != "sqlite"] or [""])
    for name in names:
        has_engine = engine_of(name) != "sqlite"
        if not (is_wire and has_engine):
            differs = name == MODELS[0] or (name in MODELS if is_wire else name == drawn)
            yield pytest.param(name, marks=[] if differs else [pytest.mark.long])


@pytest.fixture(scope="module")
def by_exec() -> Iterator[None]:
    """Servers that this file starts itself are started as anybody starts one: by their command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_server.LocalServer, "spawn", staticmethod(local_server.spawn))
        yield


@pytest.fixture(scope="session")
def model(request: pytest.FixtureRequest) -> str:
    """How this test's servers serve: what stands behind `--model`, more words and the store's engine included."""
    name: str = getattr(request, "param", MODELS[0])
    return name


def _start(data_dir: Path, model: str, *, token: str | None = None, **options: Any) -> Node:
    server = server_on(model, data_dir, options.pop("extra_args", []), **options).start()
    return Node(server, Caller(server.url, token))


def _end(node: Node) -> None:
    node.kv.close()
    node.server.kill()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Node]:
    """The server that most tests share: persisted, one worker, no failpoints, no tokens."""
    node = _start(tmp_path_factory.mktemp("shared") / "data", model)
    yield node
    _end(node)


@pytest.fixture(scope="session")
def kv(node: Node) -> Caller:
    """A caller of the shared server."""
    return node.kv


@pytest.fixture(scope="session")
def armed(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Node]:
    """A shared server with failpoints; each test arms them for its own keys, and uses them up."""
    node = _start(tmp_path_factory.mktemp("armed") / "data", model, failpoints=True)
    yield node
    _end(node)


@contextlib.contextmanager
def _starting(root: Path, model: str) -> Iterator[Callable[..., Node]]:
    """What starts servers below `root`, and ends them all."""
    nodes: list[Node] = []

    def start(data: str = "data", **options: Any) -> Node:
        nodes.append(_start(root / data, **{"model": model, "name": f"server{len(nodes)}", **options}))
        return nodes[-1]

    yield start
    for node in nodes:
        _end(node)


@pytest.fixture
def fresh(tmp_path: Path, model: str) -> Iterator[Callable[..., Node]]:
    """Starts servers for one test; `data=` names the directory, so that two may share it."""
    with _starting(tmp_path, model) as start:
        yield start


@pytest.fixture(scope="module")
def fresh_for_module(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Callable[..., Node]]:
    """As `fresh`, for servers that all tests of one file share."""
    with _starting(tmp_path_factory.mktemp("module"), model) as start:
        yield start


@pytest.fixture(scope="session")
def crossings(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Callable[[str], Crossing]]:
    """The servers of `tests.support.across_restarts`, one for each mode, made when its first rule asks for it."""
    made: dict[str, Crossing] = {}

    def crossing(mode: str) -> Crossing:
        if mode not in made:
            made[mode] = Crossing(mode, tmp_path_factory.mktemp("crossing") / mode, model)
        return made[mode]

    yield crossing
    for crossing_made in made.values():
        crossing_made.close()
