"""Containers (`--runtime compose`): the servers and the Toxiproxy of compose.yaml, in a Compose project of their own.

The servers of the project are a pool: a cell takes one, empties its volume, starts it with the delivery that it needs,
and gives it back. Links are made through the published API; clients run here and reach them on published ports, as a
person does. Everything goes through the Docker command line, with a bound on every wait.

Guarantee: the project's containers, networks and volumes are gone when the runtime is closed; no other project is
touched. Limit: needs a Docker engine, Compose v2 and built images (`scripts/images`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import random
from pathlib import Path

from chaos.runtime.base import Server, ServerError, Serving
from chaos.runtime.clock import ServerClock
from chaos.runtime.compose_links import PublishedLinks
from chaos.runtime.compose_server import ComposeServer
from chaos.runtime.compose_stores import CONTAINED
from chaos.runtime.docker import COMMAND_MAX_S, COMPOSE_FILE, HOST_NAME, ComposeProject, like, listening_for
from chaos.runtime.linked_store import LinkedStore
from chaos.runtime.links import Link
from chaos.runtime.mounts import mount_of
from chaos.runtime.ports import free_ports
from chaos.runtime.stores import SharedStores, place_for

__all__ = ["ComposeRuntime", "ComposeServer", "open_runtime"]

KNOWN = 3  # of compose.yaml, kv-1 and so on
CELLS_AT_ONCE = 3
LINKS_A_CELL = 12  # four clients, their spare links and one to observe by
LINKS_A_SHARED_CELL = 18  # one more to observe by; three to the store, and as many to observe that
LINKS_MOUNT = "/etc/oncekv/links.json"
SUBNETS = 213  # 10.213.0.0/16, of which one /24 is taken
SUBNETS_TRIED = 8
FIRST_ADDRESS = 101


class ComposeRuntime:
    """One Compose project, up from construction to `close()`."""

    name = "compose"
    cells_at_once = CELLS_AT_ONCE

    def __init__(self, folder: Path, serving: Serving) -> None:
        self._folder, self.serving = folder, serving
        folder.mkdir(parents=True, exist_ok=True)
        links_max = CELLS_AT_ONCE * (LINKS_A_SHARED_CELL if serving.is_shared else LINKS_A_CELL)
        admin_port, *ports = free_ports(1 + links_max)
        self._no_links = (folder / "no-links.json").absolute()
        self._no_links.write_text("[]\n", encoding="utf-8")
        self._no_links.chmod(0o644)
        environment = {"ONCEKV_ADMIN_PORT": str(admin_port), "ONCEKV_LINK_PORTS": f"{ports[0]}-{ports[-1]}"}
        self._fixed = (folder / "addresses.json").absolute()
        self.project = ComposeProject(f"oncekv-chaos-{os.getpid()}", [COMPOSE_FILE, self._fixed], environment)
        # Where a scenario wants a second server on a store, a cell has two.
        self._services = [f"kv-{number + 1}" for number in range(CELLS_AT_ONCE * (2 if serving.is_shared else 1))]
        self._servers: queue.SimpleQueue[str] = queue.SimpleQueue()
        for service in self._services:
            self._servers.put(service)
        self._stores: SharedStores | None = None
        try:
            self._take_a_subnet()
            self._links = PublishedLinks(admin_port, ports, f"{self._subnet}.1", self.project.container("toxiproxy"))
            if serving.is_shared:
                self._stores = CONTAINED[serving.store](folder, self.project.name, self._links)
        except BaseException:
            self.close()
            raise

    def address(self, service: str) -> str:
        """Of that server, whatever life it is in."""
        return f"{self._subnet}.{FIRST_ADDRESS + self._services.index(service)}"

    def _take_a_subnet(self) -> None:
        """Start Toxiproxy, on networks where each server has an address of its own that no other server ever gets.

        Docker gives the address of a dead container to the next that starts. A request of one cell, on its way to a
        server that was killed, then reached the server of another cell, and ran there.
        """
        for number in random.Random(os.getpid()).sample(range(256), SUBNETS_TRIED):
            self._subnet = f"10.{SUBNETS}.{number}"
            toxiproxy = {
                "volumes": [mount_of(self._no_links, LINKS_MOUNT, read_only=True)],
                "extra_hosts": [f"{HOST_NAME}:host-gateway"],
            }
            network = {"ipam": {"config": [{"subnet": f"{self._subnet}.0/24", "gateway": f"{self._subnet}.1"}]}}
            whole = {
                "services": {**{name: self._fixed_of(name) for name in self._services}, "toxiproxy": toxiproxy},
                "networks": {"servers": network},
                "volumes": {name: {} for name in self._services},
            }
            self._fixed.write_text(json.dumps(whole))
            try:
                self.project.up("--wait", "toxiproxy")
            except ServerError as error:
                if "overlap" not in str(error):
                    raise
            else:
                return
        raise ServerError(f"no free network of {SUBNETS_TRIED} in 10.{SUBNETS}.0.0/16")

    def _fixed_of(self, service: str) -> dict[str, object]:
        """Its address; and of one that compose.yaml does not have, all that its first one is."""
        known = self._services.index(service) < KNOWN
        added = {} if known else {**like("kv-1"), "volumes": [f"{service}:/data"]}
        return {"networks": {"servers": {"ipv4_address": self.address(service)}}, **added}

    def server(
        self,
        folder: Path,
        delivery: str,
        *,
        own_clock: bool = False,
        beside: Server | None = None,
        store: LinkedStore | None = None,
    ) -> ComposeServer:
        """A started server with failpoints, its volume empty; waits for one of the pool."""
        clock = ServerClock(folder.with_name("clock")) if own_clock else None
        service = self._servers.get(timeout=10 * COMMAND_MAX_S)
        try:
            server = ComposeServer(self, service, delivery, clock, place_for(self._stores, beside, store))
        except BaseException:
            self._servers.put(service)
            raise
        try:
            return server.start()
        except BaseException:
            server.release()
            raise

    def store(self, name: str, kind: str) -> LinkedStore:
        """An empty store of that kind, over links that begin with that name."""
        assert self._stores is not None, "only a shared store can be broken apart from its servers"
        return self._stores.open(name, kind, self._links)

    def give_back(self, server: ComposeServer) -> None:
        """Its container ends, and another cell may have it."""
        try:
            # One that could not be started has no log.
            with (
                contextlib.suppress(ServerError),
                (self._folder / f"{server.service}.log").open("a", encoding="utf-8") as log,
            ):
                log.write(server.log_tail(lines=1000) + "\n")
            self.project.remove(server.service)
        finally:
            self._servers.put(server.service)

    def link(self, name: str, server: Server) -> Link:
        """A healthy link to the server, on a published port."""
        assert isinstance(server, ComposeServer)
        return self._links.make(name, f"{server.service}:8000")

    @property
    def here(self) -> str:
        """Where something must listen on this machine for links to lead to it."""
        return self._listening[0]

    def link_here(self, name: str, port: int) -> Link:
        """A healthy link to what listens on this machine."""
        return self._links.make(name, f"{self._listening[1]}:{port}")

    @functools.cached_property
    def _listening(self) -> tuple[str, str]:
        return listening_for(f"{self.project.name}_admin")

    def close(self) -> None:
        """Leave nothing of the project."""
        try:
            if self._stores is not None:
                self._stores.close()
        finally:
            self.project.down()


def open_runtime(folder: Path, serving: Serving) -> ComposeRuntime:
    """What `--runtime compose` asks for. Raises ServerError."""
    return ComposeRuntime(folder, serving)
