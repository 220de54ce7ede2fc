"""The stores on which the contract is tested: an empty one for each data directory, on whatever engine a way names.

An engine is one entry of `ENGINES`: from a data directory to the URL of a store that nobody else has. What it needs, a
database server say, is started when the first test asks, once for a test process, and ends with it.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.runtime.etcd import EtcdMissing
from chaos.runtime.local import sqlite_url
from tests.support.etcd import EtcdCluster
from tests.support.postgres import Postgres, PostgresMissing

__all__ = ["ENGINES", "SHARED", "one_etcd", "postgres", "url_of"]


@functools.cache
def postgres() -> Postgres:
    """The PostgreSQL of this process. Skips the test where there is none."""
    try:
        server = Postgres()
    except PostgresMissing as error:
        pytest.skip(str(error))
    atexit.register(server.close)
    return server


@functools.cache
def _database(_data_dir: Path) -> str:
    server = postgres()
    return f"postgresql://postgres@127.0.0.1:{server.port}/{server.create()}"


@functools.cache
def one_etcd() -> EtcdCluster:
    """The etcd of this process, of one member. Skips the test where there is none."""
    try:
        cluster = EtcdCluster()
    except EtcdMissing as error:
        pytest.skip(f"NO ETCD: the tests of the etcd store need an etcd server (apt-get install etcd-server): {error}")
    atexit.register(cluster.close)
    return cluster


@functools.cache
def _prefix(_data_dir: Path) -> str:
    return one_etcd().url()


ENGINES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda data_dir: sqlite_url(data_dir / "kv.db"),
    "postgresql": _database,
    "etcd": _prefix,
}


SHARED = tuple(engine for engine in ENGINES if engine != "sqlite")
"""Those on which any number of servers of any number of machines may stand."""


def url_of(engine: str, data_dir: Path) -> str:
    """The store of a data directory: the same one whenever it is asked for."""
    return ENGINES[engine](data_dir.absolute())
