"""Real clusters that the tests of this folder share, and servers on them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.runtime.local import LocalServer
from tests.support.caller import Caller
from tests.support.etcd import EtcdCluster, skip_without
from tests.support.server import Node


@pytest.fixture(scope="session")
def etcd() -> Iterator[EtcdCluster]:
    """A cluster of one member; nobody may stop it."""
    skip_without()
    with EtcdCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def etcd_of_three() -> Iterator[EtcdCluster]:
    """A cluster of three members; a test that stops one starts it again."""
    skip_without()
    with EtcdCluster(3) as cluster:
        yield cluster


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts servers on a store's URL, and ends them."""
    with _starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def serve_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Node]]:
    """As `serve`, for servers that the tests of one file share."""
    with _starting(tmp_path_factory.mktemp("module")) as start:
        yield start


@contextlib.contextmanager
def _starting(folder: Path) -> Iterator[Callable[..., Node]]:
    nodes: list[Node] = []
    numbers = itertools.count()

    def start(url: str, **options: Any) -> Node:
        server = LocalServer(folder / "data", name=f"server{next(numbers)}", **options)
        server.store = url
        server.start()
        nodes.append(Node(server, Caller(server.url)))
        return nodes[-1]

    yield start
    for node in nodes:
        node.kv.close()
        node.server.kill()
