"""The Docker command line, with a bound on every wait; a container as a process; a Compose project of compose.yaml; the
way from containers to what listens on this machine.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.runtime.base import ServerError

__all__ = [
    "COMMAND_MAX_S",
    "COMPOSE_FILE",
    "HOST_NAME",
    "POLL_S",
    "ComposeProject",
    "Container",
    "docker",
    "like",
    "listening_for",
]

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "compose.yaml"
COMMAND_MAX_S = 120.0
HOST_NAME = "host.docker.internal"
POLL_S = 0.02


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
        last = " ".join((done.stderr or done.stdout).strip().splitlines()[-1:])
        if "No such image" in last:
            raise ServerError(f"{last}; `make images` builds what is needed")
        raise ServerError(f"docker {' '.join(words)}: {last}")
    return done.stdout.strip()


def listening_for(network: str) -> tuple[str, str]:
    """Where something must listen here to be reached from that network, and what it is called there.

    The network's gateway is an address of this machine, unless the engine is in a virtual machine; such an engine
    brings HOST_NAME to the loopback. Limit: that other engine is as its makers describe it; tried on Linux alone.
    """
    gateway = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
    try:
        socket.create_server((gateway, 0)).close()
    except OSError:
        return "127.0.0.1", HOST_NAME
    return gateway, gateway


class Container:
    """One container, seen from outside as a process is."""

    def __init__(self, container: str) -> None:
        self.container = container

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

    def kill(self) -> None:
        """SIGKILL to all its processes, and wait until they are gone; harmless when it does not run."""
        if self.returncode is None:
            docker("kill", "--signal", "KILL", self.container)
            self.wait_dead(COMMAND_MAX_S)

    def pause(self) -> None:
        """It keeps its connections, and answers nobody."""
        docker("pause", self.container)

    def resume(self) -> None:
        if docker("inspect", "--format", "{{.State.Paused}}", self.container) == "true":
            docker("unpause", self.container)

    def wait_dead(self, timeout_s: float) -> int:
        """Wait for it to end by itself; its exit code."""
        end_s = time.monotonic() + timeout_s
        while (code := self.returncode) is None:
            if time.monotonic() > end_s:
                raise ServerError(f"{self.container} still runs after {timeout_s:g} s")
            time.sleep(POLL_S)
        return code

    def log_tail(self, lines: int = 20) -> str:
        return docker("logs", "--tail", str(lines), self.container)


def like(service: str) -> dict[str, object]:
    """All that the service of compose.yaml is, for another file."""
    return {"extends": {"file": str(COMPOSE_FILE), "service": service}}


class ComposeProject:
    """Services of these files under a project name of their own, whose dead containers stay dead."""

    def __init__(self, name: str, files: Sequence[Path], environment: dict[str, str]) -> None:
        self.name = name
        self._files = files
        self._environment = {
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSE_PROFILES": "",
            "ONCEKV_RESTART": "no",  # the scenario decides when what is dead comes back
            **environment,
        }
        self._lock = threading.Lock()

    def container(self, service: str) -> str:
        """The name of that service's one container."""
        return f"{self.name}-{service}-1"

    def compose(self, *words: str, files: Sequence[Path] = (), environment: dict[str, str] | None = None) -> str:
        """One docker compose command of this project; one at a time, for two would make the same network.

        `files`: what is added for this one.
        """
        chosen = [word for path in (*self._files, *files) for word in ("--file", str(path))]
        chosen += ["--project-directory", str(ROOT)]  # .env stands there, whatever the first file
        with self._lock:
            return docker("compose", *chosen, *words, environment={**self._environment, **(environment or {})})

    def up(self, *words: str, files: Sequence[Path] = (), environment: dict[str, str] | None = None) -> None:
        """Start these services, and none that they depend on."""
        self.compose("up", "--detach", "--no-deps", "--no-build", *words, files=files, environment=environment)

    def remove(self, service: str, volume: str = "") -> None:
        """Its container, and that volume."""
        self.compose("rm", "--stop", "--force", service)
        volume = f"{self.name}_{volume}" if volume else ""
        if volume and docker("volume", "ls", "--quiet", "--filter", f"name=^{volume}$"):
            docker("volume", "rm", volume)

    def down(self) -> None:
        """Leave nothing of the project."""
        self.compose("down", "--volumes", "--timeout", "2")
