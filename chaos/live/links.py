"""The links of the live world: real Toxiproxy links, each with its state each way and counts at both of its ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import requests

from chaos.live.journal import Journal
from chaos.runtime.base import ServerError
from chaos.runtime.links import Link

__all__ = ["STATES", "LiveLink"]

SLOW_MS = 400
CHECK_MAX_S = 10.0
STATES = {
    "open": ("open", "open"),
    "cut": ("cut", "cut"),
    "cut-up": ("cut", "open"),
    "cut-down": ("open", "cut"),
    "slow": ("slow", "slow"),
}
"""State of both ways, there and back. A cut way swallows what goes into it, as a network does: nobody is told."""


class LiveLink:
    """One client's link to one server. up_in: messages that went into it at the client's end, and so on."""

    def __init__(self, link_id: str, client: str, server: str, journal: Journal, changed: Callable[[], None]) -> None:
        """changed: called when a count has changed; `tell` is due soon, and not for each message."""
        self.id, self.client, self.server = link_id, client, server
        self.up = self.down = "open"
        self.link: Link | None = None
        self.counts = {"up_in": 0, "up_out": 0, "down_in": 0, "down_out": 0}
        self.is_changed = False
        self._journal, self._changed = journal, changed
        self._lock = threading.Lock()

    def set(self, state: str) -> None:
        """Break it or mend it, really."""
        assert self.link is not None
        up, down = STATES[state]
        with self._lock:
            self.link.heal()
            for stream, way in (("upstream", up), ("downstream", down)):
                if way == "cut":
                    self.link.add("timeout", stream, timeout=0)
                elif way == "slow":
                    self.link.add("latency", stream, latency=SLOW_MS)
            self.up, self.down = up, down
        self.tell()

    def check(self) -> None:
        """A first question through it. Raises ServerError."""
        assert self.link is not None
        with requests.Session() as http:
            http.trust_env = False
            try:
                http.get(f"{self.link.url}/readyz", timeout=CHECK_MAX_S).raise_for_status()
            except requests.RequestException:
                raise ServerError(
                    f"nothing comes back through the link {self.id}; a firewall may keep containers from this machine:"
                    " use --runtime local"
                ) from None

    def count(self, what: str) -> None:
        """One message more there."""
        if what:
            with self._lock:
                self.counts[what] += 1
            self.is_changed = True
            self._changed()

    def tell(self) -> None:
        """Its state, as an event."""
        self.is_changed = False
        self._journal.add("link", link=self.id, up=self.up, down=self.down, counts=dict(self.counts))
