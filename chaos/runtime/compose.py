"""Containers (`--runtime compose`): the servers and the Toxiproxy of compose.yaml, in a Compose project of their own.

The three stores of the project are a pool: a cell takes one, empties its volume, starts it with the delivery that it
needs, and gives it back. Links are made through the published API; clients run here and reach them on published ports,
as a person does. Everything goes through the Docker command line, with a bound on every wait.

Guarantee: the project's containers, networks and volumes are gone when the runtime is closed; no other project is
touched. Limit: needs a Docker engine, Compose v2 and built images (`scripts/images`).
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from chaos.runtime.base import Server, ServerError, Serving
from chaos.runtime.clock import ServerClock
from chaos.runtime.links import Link, Links
from chaos.runtime.mounts import mount_of

__all__ = ["ComposeRuntime", "ComposeServer", "docker", "open_runtime"]

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("kv-1", "kv-2", "kv-3")
LINKS_MAX = 36  # three cells at once, each with four clients, their spare links and one to observe by
COMMAND_MAX_S = 120.0
READY_MAX_S = 60.0
PORT_MAX_S = 10.0
POLL_S = 0.02
CLOCK_MOUNT = "/clock"
LINKS_MOUNT = "/etc/oncekv/links.json"
SUBNETS = 213  # 10.213.0.0/16, of which one /24 is taken
SUBNETS_TRIED = 8
FIRST_ADDRESS = 101


def docker(*words: str, timeout_s: float = COMMAND_MAX_S, environment: dict[str, str] | None = None) -> str:
    """The output of one docker command. Raises ServerError with its last words."""
    command = ["docker", *words]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=ROOT,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError:
        raise ServerError("there is no docker command; scripts/docker-up installs an engine") from None
    except subprocess.TimeoutExpired:
        raise ServerError(f"docker {' '.join(words[:4])} took over {timeout_s:g} s") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ServerError(f"docker {' '.join(words)}: {' '.join(last)}")
    return done.stdout.strip()


class ComposeServer:
    """One store of the project, seen from outside; `url` leads through a link of its own that no fault touches."""

    def __init__(self, runtime: ComposeRuntime, service: str, delivery: str, clock: ServerClock | None = None) -> None:
        self._runtime, self._delivery = runtime, delivery
        self.clock = clock
        self.service = service
        self.container = f"{runtime.project}-{service}-1"
        self.volume = f"{runtime.project}_{service}"
        self._network = f"{runtime.project}_servers"
        self._observer: Link | None = None

    @property
    def url(self) -> str:
        assert self._observer is not None, "the server was never started"
        return self._observer.url

    @property
    def returncode(self) -> int | None:
        """The exit code as a process would have it (negative: the signal), None while it runs."""
        try:
            state = json.loads(docker("inspect", "--format", "{{json .State}}", self.container))
        except ServerError:  # its container is gone, as after `lose_data`
            return -signal.SIGKILL
        if state["Running"]:
            return None
        code = int(state["ExitCode"])
        return 128 - code if code > 128 else code

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

    def kill(self) -> None:
        if self.returncode is None:
            docker("kill", "--signal", "KILL", self.container)
            self.wait_dead(COMMAND_MAX_S)

    def release(self) -> None:
        """Give it back to the pool."""
        if self._observer:
            self._observer.remove()
        self._runtime.give_back(self)

    def pause(self) -> None:
        docker("pause", self.container)

    def resume(self) -> None:
        if docker("inspect", "--format", "{{.State.Paused}}", self.container) == "true":
            docker("unpause", self.container)

    def lose_data(self) -> None:
        self._runtime.compose("rm", "--stop", "--force", self.service)
        if docker("volume", "ls", "--quiet", "--filter", f"name=^{self.volume}$"):
            docker("volume", "rm", self.volume)

    def disconnect(self) -> None:
        docker("network", "disconnect", "--force", self._network, self.container)

    def connect(self) -> None:
        address = self._runtime.address(self.service)
        docker("network", "connect", "--alias", self.service, "--ip", address, self._network, self.container)

    def wait_dead(self, timeout_s: float) -> int:
        end_s = time.monotonic() + timeout_s
        while (code := self.returncode) is None:
            if time.monotonic() > end_s:
                raise ServerError(f"{self.container} still runs after {timeout_s:g} s")
            time.sleep(POLL_S)
        return code

    def _up(self) -> None:
        serving = ["--failpoints", *self._runtime.serving.options]
        options = {"ONCEKV_DELIVERY": self._delivery, "ONCEKV_SERVE_OPTIONS": " ".join(serving)}
        files = [self._own_clock_file()] if self.clock else []
        words = ("up", "--detach", "--no-deps", "--no-build", self.service)
        self._runtime.compose(*words, files=files, environment=options)

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
        raise ServerError(f"{self.container} is not ready after {READY_MAX_S:g} s\n{self._runtime.log_tail(self)}")


class ComposeRuntime:
    """One Compose project, up from construction to `close()`."""

    name = "compose"
    cells_at_once = len(SERVERS)

    def __init__(self, folder: Path, serving: Serving) -> None:
        self._folder, self.serving = folder, serving
        folder.mkdir(parents=True, exist_ok=True)
        self.project = f"oncekv-chaos-{os.getpid()}"
        admin_port, first_port, *more_ports = _free_ports(1 + LINKS_MAX)
        self._ports: queue.SimpleQueue[int] = queue.SimpleQueue()
        for port in (first_port, *more_ports):
            self._ports.put(port)
        self._no_links = (folder / "no-links.json").absolute()
        self._no_links.write_text("[]\n", encoding="utf-8")
        self._no_links.chmod(0o644)
        self._environment = {
            "COMPOSE_PROJECT_NAME": self.project,
            "ONCEKV_ADMIN_PORT": str(admin_port),
            "ONCEKV_LINK_PORTS": f"{first_port}-{more_ports[-1]}",
            "ONCEKV_RESTART": "no",  # the scenario decides when a dead server comes back
        }
        self._fixed = (folder / "addresses.json").absolute()
        self._servers: queue.SimpleQueue[str] = queue.SimpleQueue()
        for service in SERVERS:
            self._servers.put(service)
        self._lock = threading.Lock()
        try:
            self._take_a_subnet()
            self._links = Links("127.0.0.1", admin_port)
        except BaseException:
            self.close()
            raise

    def compose(self, *words: str, files: Sequence[Path] = (), environment: dict[str, str] | None = None) -> str:
        """One docker compose command of this project; one at a time, for two would make the same network.

        `files`: what is added to compose.yaml.
        """
        chosen = [word for path in ("compose.yaml", self._fixed, *files) for word in ("--file", str(path))]
        with self._lock:
            return docker("compose", *chosen, *words, environment={**self._environment, **(environment or {})})

    def address(self, service: str) -> str:
        """Of that server, whatever life it is in."""
        return f"{self._subnet}.{FIRST_ADDRESS + SERVERS.index(service)}"

    def _take_a_subnet(self) -> None:
        """Start Toxiproxy, on networks where each server has an address of its own that no other server ever gets.

        Docker gives the address of a dead container to the next that starts. A request of one cell, on its way to a
        server that was killed, then reached the server of another cell, and ran there.
        """
        for number in random.Random(os.getpid()).sample(range(256), SUBNETS_TRIED):
            self._subnet = f"10.{SUBNETS}.{number}"
            servers = {name: {"networks": {"servers": {"ipv4_address": self.address(name)}}} for name in SERVERS}
            toxiproxy = {"volumes": [mount_of(self._no_links, LINKS_MOUNT, read_only=True)]}
            network = {"ipam": {"config": [{"subnet": f"{self._subnet}.0/24"}]}}
            whole = {"services": {**servers, "toxiproxy": toxiproxy}, "networks": {"servers": network}}
            self._fixed.write_text(json.dumps(whole))
            try:
                self.compose("up", "--detach", "--wait", "--no-deps", "--no-build", "toxiproxy")
            except ServerError as error:
                if "overlap" not in str(error):
                    raise
            else:
                return
        raise ServerError(f"no free network of {SUBNETS_TRIED} in 10.{SUBNETS}.0.0/16")

    def server(
        self, folder: Path, delivery: str, *, own_clock: bool = False, beside: Server | None = None
    ) -> ComposeServer:
        """A started server with failpoints, its volume empty; waits for one of the pool."""
        if beside is not None:
            raise ServerError("servers in containers have a store each; use --runtime local")
        clock = ServerClock(folder.with_name("clock")) if own_clock else None
        server = ComposeServer(self, self._servers.get(timeout=10 * COMMAND_MAX_S), delivery, clock)
        try:
            return server.start()
        except BaseException:
            self.give_back(server)
            raise

    def give_back(self, server: ComposeServer) -> None:
        """Its container ends, and another cell may have it."""
        try:
            with (self._folder / f"{server.service}.log").open("a", encoding="utf-8") as log:
                log.write(self.log_tail(server, lines=1000) + "\n")
            self.compose("rm", "--stop", "--force", server.service)
        finally:
            self._servers.put(server.service)

    def link(self, name: str, server: Server) -> Link:
        """A healthy link to the server, on a published port."""
        assert isinstance(server, ComposeServer)
        try:
            port = self._ports.get(timeout=PORT_MAX_S)
        except queue.Empty:
            raise ServerError(f"all {LINKS_MAX} links are taken; use fewer --clients") from None
        return self._links.make(name, f"{server.service}:8000", f"0.0.0.0:{port}", lambda: self._ports.put(port))

    def log_tail(self, server: ComposeServer, lines: int = 20) -> str:
        return docker("logs", "--tail", str(lines), server.container)

    def close(self) -> None:
        """Leave nothing of the project."""
        self.compose("down", "--volumes", "--timeout", "2")


def open_runtime(folder: Path, serving: Serving) -> ComposeRuntime:
    """What `--runtime compose` asks for. Raises ServerError."""
    return ComposeRuntime(folder, serving)


def _free_ports(count: int) -> range:
    """`count` free ports in a row."""
    for first in range(23000, 32000, 50):
        sockets: list[socket.socket] = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
        return range(first, first + count)
    raise ServerError(f"no {count} free ports in a row between 23000 and 32000")
