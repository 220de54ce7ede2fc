"""A server of the Compose runtime: one container of its pool, as a scenario has it."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.runtime.base import ServerError
from chaos.runtime.clock import ServerClock
from chaos.runtime.docker import POLL_S, Container, docker
from chaos.runtime.links import Link
from chaos.runtime.mounts import mount_of

if TYPE_CHECKING:
    from chaos.runtime.compose import ComposeRuntime

__all__ = ["ComposeServer"]

READY_MAX_S = 60.0
CLOCK_MOUNT = "/clock"


class ComposeServer(Container):
    """One server of the project, seen from outside; `url` leads through a link of its own that no fault touches.

    `store`: the URL of what it shares with others; empty: a file on its volume.
    """

    def __init__(
        self, runtime: ComposeRuntime, service: str, delivery: str, clock: ServerClock | None = None, store: str = ""
    ) -> None:
        super().__init__(runtime.project.container(service))
        self._runtime, self._delivery = runtime, delivery
        self.clock = clock
        self.service = service
        self.store = store
        self._network = f"{runtime.project.name}_servers"
        self._observer: Link | None = None

    @property
    def url(self) -> str:
        assert self._observer is not None, "the server was never started"
        return self._observer.url

    @property
    def crashes(self) -> int:
        return int((self.returncode or 0) < 0)

    def start(self) -> ComposeServer:
        """Start on an empty volume with the delivery that was asked for."""
        self.lose_data()
        self._up()
        self._observer = self._runtime.link(f"{self.container}-observer", self)
        self._wait_ready()
        return self

    def restart(self) -> ComposeServer:
        """Start the dead container again, its volume kept."""
        self._up()
        self._wait_ready()
        return self

    def release(self) -> None:
        """Give it back to the pool."""
        if self._observer:
            self._observer.remove()
        self._runtime.give_back(self)

    def lose_data(self) -> None:
        self._runtime.project.remove(self.service, volume=self.service)

    def copy_data(self, folder: Path) -> None:
        """The files of its volume, as they are while it is dead."""
        docker("cp", f"{self.container}:/data/.", str(folder))

    def disconnect(self) -> None:
        docker("network", "disconnect", "--force", self._network, self.container)

    def connect(self) -> None:
        address = self._runtime.address(self.service)
        docker("network", "connect", "--alias", self.service, "--ip", address, self._network, self.container)

    def _up(self) -> None:
        serving = ["--failpoints", *self._runtime.serving.options]
        options = {"ONCEKV_DELIVERY": self._delivery, "ONCEKV_SERVE_OPTIONS": " ".join(serving)}
        if self.store:
            options["ONCEKV_STORE"] = self.store
        files = [self._own_clock_file()] if self.clock else []
        self._runtime.project.up(self.service, files=files, environment=options)

    def _own_clock_file(self) -> Path:
        """What is added to compose.yaml for a server with a clock of its own."""
        assert self.clock is not None
        path = self.clock.folder / "compose.json"
        mounts = [mount_of(self.clock.folder, CLOCK_MOUNT)]
        extra = {"environment": self.clock.environment(Path(CLOCK_MOUNT)), "volumes": mounts}
        path.write_text(json.dumps({"services": {self.service: extra}}), encoding="utf-8")
        return path

    def _wait_ready(self) -> None:
        end_s = time.monotonic() + READY_MAX_S
        while time.monotonic() < end_s:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as reply:  # noqa: S310 our own loopback
                    if reply.status == 200:
                        return
            except OSError:
                time.sleep(POLL_S)
        raise ServerError(f"{self.container} is not ready after {READY_MAX_S:g} s\n{self.log_tail()}")
