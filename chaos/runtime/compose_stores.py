"""Stores that servers share, in containers: the members that compose.yaml has, each engine in a project of its own.

Toxiproxy joins the network of each engine, and nobody else does: servers reach its members over links alone, and so do
we. A link of its own to each member, which no fault touches, is for us and for the servers whose store stays whole.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.runtime.base import ServerError
from chaos.runtime.compose_links import PublishedLinks
from chaos.runtime.docker import ComposeProject, Container, docker, like
from chaos.runtime.etcd_members import Member, Members
from chaos.runtime.etcd_store import EtcdStores
from chaos.runtime.links import Link
from chaos.runtime.postgresql_host import PostgreSQLHost
from chaos.runtime.postgresql_store import PostgreSQLStores
from chaos.runtime.stores import SharedStores

__all__ = ["CONTAINED"]

SERVERS_SEE = "toxiproxy-servers"
ETCD = ("etcd-1", "etcd-2", "etcd-3")
POSTGRESQL = "pg-1"
ALONE = {"ONCEKV_PG_SYNCHRONOUS": ""}
MEMBERS_FILE = "members.json"


class _Engine:
    """The services of that file in a project whose network Toxiproxy has joined, until `close`."""

    def __init__(self, name: str, file: Path, links: PublishedLinks) -> None:
        self.project = ComposeProject(name, [file], {"COMPOSE_PROFILES": "*"})
        self._links = links
        self._observers: list[Link] = []
        self._is_joined = False

    def up(self, environment: dict[str, str] | None = None) -> None:
        """Start them, and have Toxiproxy on their network."""
        self.project.up(environment=environment)
        if not self._is_joined:
            docker("network", "connect", "--alias", "toxiproxy", f"{self.project.name}_stores", self._links.toxiproxy)
            self._is_joined = True

    def observe(self, upstream: str) -> Link:
        """A link that no fault touches."""
        self._observers.append(self._links.make(f"{upstream.replace(':', '-')}-observer", upstream))
        return self._observers[-1]

    def close(self) -> None:
        """Leave nothing of it. Harmless when closed."""
        while self._observers:
            with contextlib.suppress(Exception):  # Toxiproxy may be gone
                self._observers.pop().remove()
        if self._is_joined:
            with contextlib.suppress(ServerError):
                docker("network", "disconnect", "--force", f"{self.project.name}_stores", self._links.toxiproxy)
            self._is_joined = False
        self.project.down()


class _EtcdMember(Container, Member):
    """One of a cluster's containers."""

    def __init__(self, engine: _Engine, service: str) -> None:
        super().__init__(engine.project.container(service))
        self.name = service
        self.upstream = f"{self.container}:2379"
        observer = engine.observe(self.upstream)
        self.url = observer.url
        self.address = f"{SERVERS_SEE}:{observer.port}"

    def start(self) -> None:
        docker("start", self.container)


class _EtcdCluster(Members):
    """The members of the profile `etcd`, from construction to `close`."""

    def __init__(self, name: str, file: Path, links: PublishedLinks) -> None:
        super().__init__()
        self._engine = _Engine(name, file, links)
        try:
            self._engine.up()
            self.members = [_EtcdMember(self._engine, service) for service in ETCD]
            self.wait_healthy()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._engine.close()


class _PostgreSQL(Container, PostgreSQLHost):
    """One of the profile `postgres`, alone, from construction to `close`."""

    user = "oncekv"

    def __init__(self, name: str, file: Path, links: PublishedLinks) -> None:
        PostgreSQLHost.__init__(self)
        self._engine = _Engine(name, file, links)
        Container.__init__(self, self._engine.project.container(POSTGRESQL))
        self.upstream = f"{self.container}:5432"
        try:
            self._engine.up(ALONE)
            observer = self._engine.observe(self.upstream)
            self.port, self.address = observer.port, f"{SERVERS_SEE}:{observer.port}"
            self.wait_ready()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        docker("start", self.container)
        self.wait_ready()

    def follow(self, port: int) -> None:
        self._engine.project.remove(POSTGRESQL, volume=POSTGRESQL)
        self._engine.up({**ALONE, "ONCEKV_PG_PRIMARY": "toxiproxy", "ONCEKV_PG_PRIMARY_PORT": str(port)})
        self.wait_ready()

    def has_ended(self) -> bool:
        return self.returncode is not None

    def close(self) -> None:
        self._engine.close()


def _members(folder: Path, services: Sequence[str]) -> Path:
    """A file that has these services of compose.yaml, and their network, alone."""
    file = folder.absolute() / MEMBERS_FILE
    whole = {"services": {service: like(service) for service in services}}
    whole |= {"networks": {"stores": {"internal": True}}, "volumes": {service: {} for service in services}}
    file.write_text(json.dumps(whole), encoding="utf-8")
    return file


def _etcd(folder: Path, project: str, links: PublishedLinks) -> EtcdStores:
    numbers, file = itertools.count(), _members(folder, ETCD)
    return EtcdStores(lambda: _EtcdCluster(f"{project}-etcd-{next(numbers)}", file, links))


def _postgres(folder: Path, project: str, links: PublishedLinks) -> PostgreSQLStores:
    numbers, file = itertools.count(), _members(folder, [POSTGRESQL])
    return PostgreSQLStores(lambda: _PostgreSQL(f"{project}-pg-{next(numbers)}", file, links))


CONTAINED: dict[str, Callable[[Path, str, PublishedLinks], SharedStores]] = {"postgres": _postgres, "etcd": _etcd}
"""As `chaos.runtime.stores.SHARED`, in containers; each is given the run's folder and the name of its project."""
