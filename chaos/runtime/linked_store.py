"""A store that servers reach over links, one to each of its hosts, and what can be done to those hosts.

    server ──► aim (`HoldingLink`) ──► link (Toxiproxy) ──► host

The aim knows what a commit looks like on its way, which Toxiproxy does not; every byte it passes goes through Toxiproxy
too. The base of the two engines; what one of them has no such thing for, it refuses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import ClassVar

from chaos.net.holding_link import HoldingLink
from chaos.runtime.base import ServerError
from chaos.runtime.links import Links

__all__ = ["LinkedStore"]


class LinkedStore:
    """The store of one cell, from when it was made to `close`."""

    engine: ClassVar[str]
    committed: ClassVar[bytes]
    """Stands in the reply to a request that committed, and in no other."""

    def __init__(self, name: str, hosts: Sequence[str], links: Links) -> None:
        """`hosts`: host:port of each, as Toxiproxy has them."""
        self.links = [links.make(f"{name}--store{number}", host) for number, host in enumerate(hosts)]
        self.aims = [HoldingLink(link.port, links.host) for link in self.links]
        self.hosts = [f"{links.host}:{aim.port}" for aim in self.aims]
        """The same, as servers are to have them."""
        self.url = ""
        self.commits = b""
        """Stands in every request that commits an effect of the workload, and in none that reads."""

    def kill_leader(self) -> str:
        """SIGKILL to the host that takes the writes; what was done, in words."""
        raise self._cannot("lose its leader")

    def pause_leader(self) -> str:
        """It falls silent to all others, and keeps its connections; what was done, in words."""
        raise self._cannot("go on without its leader")

    def kill_majority(self) -> str:
        """SIGKILL to so many hosts that the others may not go on; what was done, in words."""
        raise self._cannot("lose its majority")

    def stop_replication(self) -> None:
        """The standby hears nothing any more, and nobody waits for it."""
        raise self._cannot("fall behind")

    def promote(self) -> str:
        """The standby takes the writes from now on; what was done, in words."""
        raise self._cannot("be promoted")

    def restore(self) -> None:
        """Links whole, and every host runs again, but for one that another took the place of."""
        for aim in self.aims:
            aim.take_nothing()
        for link in self.links:
            link.heal()

    def close(self) -> None:
        """Leave nothing of it."""
        for aim in self.aims:
            aim.close()
        for link in self.links:
            with contextlib.suppress(Exception):  # Toxiproxy may be gone
                link.remove()

    def _cannot(self, what: str) -> ServerError:
        return ServerError(f"{self.engine} as it is run here cannot {what}")
