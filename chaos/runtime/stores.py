"""Stores that servers share (`--store`): an engine of the run's own, and an empty store in it for each cell.

A server on one keeps nothing itself: when it dies for good, another one on the same store goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chaos.runtime.etcd import EtcdCluster
from chaos.runtime.postgresql import PostgreSQL

__all__ = ["SHARED", "SharedStores"]

MEMBERS = 3


class SharedStores(Protocol):
    """One engine, from when it was made to `close`."""

    def new_store(self) -> str:
        """The URL of an empty store, as `oncekv serve --store` takes it."""
        ...

    def close(self) -> None: ...


class _Postgres(PostgreSQL):
    def new_store(self) -> str:
        return self.make_database().replace("postgresql+psycopg://", "postgresql://")


class _Etcd(EtcdCluster):
    def __init__(self, _log: Path) -> None:
        super().__init__(MEMBERS)

    def new_store(self) -> str:
        return self.url()


SHARED: dict[str, Callable[[Path], SharedStores]] = {"postgres": _Postgres, "etcd": _Etcd}
"""By the name that `--store` has; each is given its log. Raises ServerError where the engine cannot be had."""
