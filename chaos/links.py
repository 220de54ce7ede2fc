"""Links: named Toxiproxy proxies between one client and one server, and what can be done to them.

Place: step 4 on the way of a call. A client knows only its link; breaking the link breaks nobody else's.
Guarantee: `heal` leaves the link without toxics and enabled. Limit: Toxiproxy works on TCP bytes, so it can hold back,
cut and swallow, but not duplicate; and toxiproxy-python keeps its API address class-wide: one Toxiproxy per process.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from toxiproxy.api import APIConsumer
from toxiproxy.server import Toxiproxy as ToxiproxyApi

__all__ = ["Link", "Links"]

# One lock for all: the library lists every proxy when it makes one, and two cells make theirs at once.
_API_LOCK = threading.Lock()


class Link:
    """One proxy. `url` is where the client connects."""

    def __init__(self, proxy: Any) -> None:
        self.name: str = proxy.name
        self.url = f"http://{proxy.listen}"
        self._proxy = proxy
        self._toxics: list[str] = []

    def add(self, kind: str, stream: str, **attributes: int) -> None:
        """Add a toxic to every connection (toxicity 1: the scenario decides when, not a draw)."""
        toxic = f"{kind}-{stream}"
        with _API_LOCK:
            self._proxy.add_toxic(name=toxic, type=kind, stream=stream, toxicity=1.0, attributes=attributes)
        self._toxics.append(toxic)

    def heal(self) -> None:
        """Without toxics again; those that held connections silent close them as they go."""
        with _API_LOCK:
            while self._toxics:
                self._proxy.destroy_toxic(self._toxics.pop())

    def remove(self) -> None:
        """No such link any more; its connections are closed."""
        with _API_LOCK:
            self._proxy.destroy()


class Links:
    """The links of one running Toxiproxy, whose API stands on a loopback port."""

    def __init__(self, api_host: str, api_port: int) -> None:
        # The library asks the environment's HTTP proxy even for loopback.
        os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), api_host]))
        APIConsumer.host, APIConsumer.port = api_host, api_port
        self._api = ToxiproxyApi()

    def make(self, name: str, upstream: str, listen: str = "127.0.0.1:0") -> Link:
        """A new link to `upstream` (host:port). Raises ProxyExists for a name that is taken."""
        with _API_LOCK:
            return Link(self._api.create(upstream=upstream, name=name, listen=listen))
