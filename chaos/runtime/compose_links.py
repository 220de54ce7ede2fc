"""Links of a Toxiproxy in a container: each listens on a published port, so that it can be reached from both sides."""

from __future__ import annotations

import queue
from collections.abc import Iterable

from chaos.runtime.base import ServerError
from chaos.runtime.links import Link, Links

__all__ = ["PublishedLinks"]

PORT_MAX_S = 10.0


class PublishedLinks(Links):
    """`ports`: those that are published. `host`: this machine on the network of the servers."""

    def __init__(self, api_port: int, ports: Iterable[int], host: str, toxiproxy: str) -> None:
        super().__init__("127.0.0.1", api_port)
        self.host = host
        self.toxiproxy = toxiproxy
        """Its container."""
        self._ports: queue.SimpleQueue[int] = queue.SimpleQueue()
        for port in ports:
            self._ports.put(port)

    def make(self, name: str, upstream: str) -> Link:
        try:
            port = self._ports.get(timeout=PORT_MAX_S)
        except queue.Empty:
            raise ServerError("all published links are taken; use fewer --clients") from None
        return self._create(name, upstream, f"0.0.0.0:{port}", lambda: self._ports.put(port))
