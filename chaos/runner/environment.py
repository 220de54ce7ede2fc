"""One cell's world: a server, links to it, and what can be asked of both from outside the workload.

Guarantee: every wait is bounded and ends early when the run is interrupted. Limit: counters are the server's own and
start again with each of its lives; what must outlive a crash is read from the store.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import requests
from prometheus_client.parser import text_string_to_metric_families

from chaos.evidence import StoreRecord
from chaos.net.message_proxy import MessageProxy
from chaos.runtime.base import Server
from chaos.runtime.linked_store import LinkedStore
from chaos.runtime.links import Link
from chaos.services.base import Ask, Service
from chaos.workload.workload import Workload, WorkloadClient

__all__ = ["Environment", "EnvironmentFailed", "FaultMissed", "Interrupted", "Settled", "TimedOut"]

ASK_TIMEOUT_S = 30.0
QUIET_S = 0.25
QUIET_MAX_S = 60.0
HEALTHY_MAX_S = 60.0
POLL_S = 0.02


class EnvironmentFailed(Exception):
    """The world is not as the scenario needs it; the cell proves nothing."""


class TimedOut(EnvironmentFailed):
    """What was waited for has not come within its bound."""


class FaultMissed(EnvironmentFailed):
    """The fault found nothing to strike within its bound: that tells of the machine, and nothing of the system."""


class Interrupted(Exception):
    """The run was told to stop."""


class Settled(NamedTuple):
    """A call with an identity, never acknowledged, and what it was answered first (`result` or `error`)."""

    call: Ask
    meta: dict[str, Any]
    reply: dict[str, Any]


class Environment:
    """What a fault breaks and a scenario watches."""

    def __init__(
        self, service: Service, server: Server, first_links: Sequence[Link], spare_links: Sequence[Link],
        stop: threading.Event, seed: str, spare_server: Server, store: LinkedStore | None = None,
    ) -> None:  # fmt: skip
        """spare_server: where the spare links lead; `server` itself, unless the scenario has another."""
        self._store = store
        self.service = service
        self.server = server
        self._spare_server = spare_server
        self._spare_links = spare_links
        self.first_links = first_links
        self.links = [*first_links, *spare_links]
        self.seed = seed
        """What a fault's own choices are drawn from."""
        self.proxies: Sequence[MessageProxy] = ()
        """One for each client, where the scenario has them: before its first link."""
        self.workload: Workload | None = None
        self.settled: list[Settled] = []
        """The steady state's own calls that were settled before the fault, to be sent again after it."""
        self._stop = stop
        self._http = requests.Session()
        self._http.trust_env = False
        # A connection of before a fault may be dead and not know it yet.
        self._http.headers["Connection"] = "close"

    @property
    def servers(self) -> Sequence[Server]:
        """All that serve the clients."""
        return list(dict.fromkeys((self.server, self._spare_server)))

    @property
    def store(self) -> LinkedStore:
        """What the servers share, where the scenario needs to break it."""
        assert self._store is not None, "the scenario names no store"
        return self._store

    @property
    def callers(self) -> list[WorkloadClient]:
        """The clients, in order."""
        assert self.workload is not None
        return [caller for _, caller in sorted(self.workload.callers.items())]

    def close(self) -> None:
        self._http.close()
        for link in self.links:
            link.remove()

    def wait(self, seconds: float) -> None:
        """Raises Interrupted."""
        if self._stop.wait(seconds):
            raise Interrupted()

    def wait_until(self, holds: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Raises TimedOut when it takes longer, and Interrupted."""
        end_s = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > end_s:
                raise TimedOut(f"after {timeout_s:g} s still not so: {what}")
            self.wait(POLL_S)

    def ask(self, method: str, **params: Any) -> Any:
        """A call to the server itself, past all links. Raises EnvironmentFailed."""
        return self.ask_at(self.server.url, method, **params)

    def ask_at(self, url: str, method: str, **params: Any) -> Any:
        """A call to the server at `url`, a link's or its own; its result. Raises EnvironmentFailed."""
        reply = self.reply_at(url, method, params)
        if "error" in reply:
            raise EnvironmentFailed(f"{method} at {url}: {reply['error']['message']}")
        return reply["result"]

    def reply_at(self, url: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The same, with the whole reply. Raises EnvironmentFailed where there is none."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            reply: dict[str, Any] = self.post(f"{url}/rpc", request).json()
        except ValueError as error:
            raise EnvironmentFailed(f"{method} at {url}: {error}") from None
        return reply

    def post(self, url: str, body: Any, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Any request with a body of JSON. Raises EnvironmentFailed where there is no reply."""
        try:
            return self._http.post(url, json=body, headers=headers, timeout=ASK_TIMEOUT_S)
        except requests.RequestException as error:
            raise EnvironmentFailed(f"{url}: {error}") from None

    def check_healthy(self) -> None:
        """Every link leads to the server, and it answers. Raises EnvironmentFailed."""
        for link in self.links:
            self.ask_at(link.url, "server.info")

    def wait_healthy(self) -> None:
        """Until every link leads to the server again, now that what broke it is gone. Raises EnvironmentFailed."""

        def healthy() -> bool:
            with contextlib.suppress(EnvironmentFailed):
                self.check_healthy()
                return True
            return False

        self.wait_until(healthy, HEALTHY_MAX_S, "every link leads to the server")

    def server_behind(self, link: Link) -> Server:
        """The server to which that link is to lead."""
        return self._spare_server if link in self._spare_links else self.server

    def go_on_with_spare(self) -> None:
        """The server is gone for good: what is asked from here on is asked the other one on its store."""
        assert self._spare_server is not self.server, "the scenario has no spare_server"
        for link in self.first_links:
            link.remove()
        self.server, self.links = self._spare_server, [*self._spare_links]

    def revive(self) -> None:
        """Start every server again that is dead."""
        for server in self.servers:
            if server.returncode is not None:
                server.restart()

    def is_ready(self, server: Server) -> bool:
        """What its /readyz says."""
        try:
            return self._http.get(f"{server.url}/readyz", timeout=ASK_TIMEOUT_S).status_code == 200
        except requests.RequestException:
            return False

    def counters(self, server: Server | None = None) -> Mapping[str, Mapping[str, int]]:
        """The counters of the server, or that one, since its present start: metric name → label value → count."""
        url = (server or self.server).url
        try:
            page = self._http.get(f"{url}/metrics", timeout=ASK_TIMEOUT_S)
            page.raise_for_status()
        except requests.RequestException as error:
            raise EnvironmentFailed(f"metrics at {url}: {error}") from None
        return {
            family.name: {
                "".join(sample.labels.values()): int(sample.value)
                for sample in family.samples
                if sample.name.endswith("_total")
            }
            for family in text_string_to_metric_families(page.text)
        }

    def arrived(self) -> int:
        """Attempts of the workload that the present lives of all servers have seen."""
        attempts = [self.counters(server).get("oncekv_attempts", {}) for server in self.servers]
        return sum(seen.get(method, 0) for seen in attempts for method in self.service.counted)

    def wait_quiet(self) -> None:
        """Until nothing of the workload arrives any more: what was held back is through."""
        seen, since_s = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since_s
            arrived = self.arrived()
            if arrived != seen:
                seen, since_s = arrived, time.monotonic()
            return time.monotonic() - since_s >= QUIET_S

        self.wait_until(quiet, QUIET_MAX_S, "the server is quiet")

    def dump(self) -> StoreRecord:
        """The whole store, as the service shows it."""
        return self.service.dump(self)
