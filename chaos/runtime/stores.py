"""Stores that servers share (`--store`): an engine of the run's own, and an empty store in it for each cell.

A server on one keeps nothing itself: when it dies for good, another one on the same store goes on. A cell whose fault
breaks the engine itself has an engine of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chaos.runtime.base import Server
from chaos.runtime.etcd import EtcdCluster
from chaos.runtime.etcd_store import MEMBERS, EtcdStores
from chaos.runtime.linked_store import LinkedStore
from chaos.runtime.links import Links
from chaos.runtime.postgresql import PostgreSQL
from chaos.runtime.postgresql_store import PostgreSQLStores

__all__ = ["SHARED", "SharedStores", "place_for"]


class SharedStores(Protocol):
    """One engine, from when it was made to `close`."""

    def new_store(self) -> str:
        """The URL of an empty store, as `oncekv serve --store` takes it."""
        ...

    def open(self, name: str, kind: str, links: Links) -> LinkedStore:
        """An empty store of that kind (`chaos.runtime.base`), over links that begin with that name."""
        ...

    def close(self) -> None: ...


def _postgres(log: Path) -> PostgreSQLStores:
    return PostgreSQLStores(lambda: PostgreSQL(log))


def _etcd(_log: Path) -> EtcdStores:
    return EtcdStores(lambda: EtcdCluster(MEMBERS))


SHARED: dict[str, Callable[[Path], SharedStores]] = {"postgres": _postgres, "etcd": _etcd}
"""By the name that `--store` has; each is given its log. Raises ServerError where the engine cannot be had."""


def place_for(stores: SharedStores | None, beside: Server | None, store: LinkedStore | None) -> str:
    """The URL of what a new server keeps its data in; empty: a file of its own. As `Runtime.server` has them."""
    if beside is not None:
        assert stores is not None, "only a shared store has room for two servers"
        return beside.store
    if store is not None:
        return store.url
    return stores.new_store() if stores else ""
