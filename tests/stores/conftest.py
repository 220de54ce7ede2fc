"""Servers of one shared store: as many as a test asks for, each on the engine under test."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.runtime.local import LocalServer
from tests.support.caller import Caller
from tests.support.cut_link import CutLink
from tests.support.etcd import EtcdCluster
from tests.support.postgres import Postgres
from tests.support.server import Node
from tests.support.stores import SHARED, one_etcd, postgres, url_of

Serve = Callable[..., Node]


@pytest.fixture(params=SHARED)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that servers may share, on each engine that is made for it."""
    return url_of(request.param, tmp_path)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server on a store, with failpoints; ends it with the test."""
    with _starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def serve_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """As `serve`, for servers that the tests of one file share."""
    with _starting(tmp_path_factory.mktemp("module")) as start:
        yield start


@contextlib.contextmanager
def _starting(folder: Path) -> Iterator[Serve]:
    nodes: list[Node] = []
    numbers = itertools.count()

    def start(store: str, *words: str, **options: Any) -> Node:
        server = LocalServer(folder / f"server{next(numbers)}", extra_args=words, **{"failpoints": True, **options})
        server.store = store
        node = Node(server.start(), Caller(server.url, timeout_s=30.0))
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        node.kv.close()
        node.server.kill()
        print(f"--- {node.server.log.name}\n{node.server.log_tail(4000)}")  # shown where the test has failed


@pytest.fixture
def etcd() -> EtcdCluster:
    """A cluster of one member, which all tests share; nobody may stop it."""
    return one_etcd()


@pytest.fixture(scope="module")
def etcd_of_three() -> Iterator[EtcdCluster]:
    """A cluster of three members; a test that stops one starts it again."""
    one_etcd()  # skips where there is none
    with EtcdCluster(3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that the tests of one file may stop."""
    postgres()  # skips where there is none
    with Postgres() as server:
        yield server


@pytest.fixture
def database(own_postgres: Postgres) -> str:
    """An empty database of it."""
    return own_postgres.create()


@pytest.fixture
def link(own_postgres: Postgres) -> Iterator[CutLink]:
    """A link to it that a test may cut."""
    with CutLink(own_postgres.port) as made:
        yield made


@pytest.fixture
def postgres_url(own_postgres: Postgres, database: str) -> str:
    """The database as a store."""
    return f"postgresql://postgres@127.0.0.1:{own_postgres.port}/{database}"


@pytest.fixture
def linked_url(link: CutLink, database: str) -> str:
    """The same, over the link."""
    return f"postgresql://postgres@127.0.0.1:{link.port}/{database}"
