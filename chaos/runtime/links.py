"""Links: named Toxiproxy proxies between one client and one server, and what can be done to them.

Place: step 4 on the way of a call. A client knows only its link; breaking the link breaks nobody else's.
Guarantee: `heal` leaves the link without toxics and enabled. Limit: Toxiproxy works on TCP bytes, so it can hold back,
cut and swallow, but not duplicate; and toxiproxy-python keeps its API address class-wide: one Toxiproxy per process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import requests
import toxiproxy.api as api
from toxiproxy.server import Toxiproxy as ToxiproxyApi

__all__ = ["Link", "Links"]

API_MAX_S = 60.0  # removing a link waits for its dials, and one to a container that is gone takes seconds
# One lock for all: the library lists every proxy when it makes one, and two cells make theirs at once.
_API_LOCK = threading.Lock()


class _BoundedSession(requests.Session):
    """The library asks without a bound, and by way of the environment's HTTP proxy. This asks neither way."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(*args, **{"timeout": API_MAX_S, **kwargs})


class Link:
    """One proxy. `url` is where the client connects."""

    def __init__(self, proxy: Any, removed: Callable[[], None]) -> None:
        self.name: str = proxy.name
        # On this machine, be it on the loopback or on a port that a container publishes there.
        self.port = int(proxy.listen.rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"
        self._proxy = proxy
        self._removed = removed
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

    def toxics(self) -> list[str]:
        """The names of its toxics, as Toxiproxy has them."""
        with _API_LOCK:
            return list(self._proxy.toxics())

    def remove(self) -> None:
        """No such link any more; its connections are closed."""
        with _API_LOCK:
            self._proxy.destroy()
        self._removed()


class Links:
    """The links of one running Toxiproxy, whose API stands on a loopback port."""

    host = "127.0.0.1"
    """This machine, as the servers have it."""

    def __init__(self, api_host: str, api_port: int) -> None:
        api.requests = _BoundedSession()
        api.APIConsumer.host, api.APIConsumer.port = api_host, api_port
        self._api = ToxiproxyApi()

    def make(self, name: str, upstream: str) -> Link:
        """A new link to `upstream` (host:port). Raises ProxyExists."""
        return self._create(name, upstream, "127.0.0.1:0", lambda: None)

    def _create(self, name: str, upstream: str, listen: str, removed: Callable[[], None]) -> Link:
        """`removed` is called when it is no more."""
        with _API_LOCK:
            return Link(self._api.create(upstream=upstream, name=name, listen=listen), removed)
