"""Real etcd clusters of a run's own: private directories, free ports of 127.0.0.1, gone with whoever started them.

One member or three. A member can be killed, paused and started again on its data and ports. On a file system in memory
where there is one, for nobody pulls this machine's plug, and every transaction is synced.
"""

from __future__ import annotations

import base64
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import requests

from chaos.runtime.base import ServerError
from chaos.runtime.local_server import spawn
from chaos.runtime.ports import KeptPort

__all__ = ["START_MAX_S", "EtcdCluster", "EtcdMember", "EtcdMissing", "encoded", "find_etcd"]

START_MAX_S = 30.0
CALL_MAX_S = 5.0
POLL_S = 0.05
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "etcd"
FETCH_MAX_S = 300.0
_MEMORY = Path("/dev/shm")  # noqa: S108 folders below it are private


class EtcdMissing(ServerError):
    """There is no etcd and none can be had; the message is one line with the reason."""


def find_etcd() -> str:
    """The path of an etcd server, fetched if need be (scripts/etcd). Raises EtcdMissing."""
    try:
        done = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=FETCH_MAX_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EtcdMissing(f"scripts/etcd did not come to an end: {error}") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise EtcdMissing(said[-1] if said else f"scripts/etcd ended with {done.returncode}")
    return done.stdout.strip().splitlines()[-1]


class EtcdMember:
    """One member: a process on a directory and two ports that stay its own."""

    def __init__(self, name: str, program: str, folder: Path, words: Sequence[str]) -> None:
        self.name = name
        self._program = program
        self._folder = folder
        self._words = words
        self._ports = KeptPort(), KeptPort()
        self._process: Any = None
        self.port = self._ports[0].number
        self.url = f"http://127.0.0.1:{self.port}"
        self.peer = f"http://127.0.0.1:{self._ports[1].number}"

    def start(self, peers: str) -> None:
        """Start it, again on what it has; `peers`: all members as etcd names them."""
        words = [self._program, "--name", self.name, "--data-dir", str(self._folder / self.name)]
        words += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        words += ["--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer]
        words += ["--initial-cluster", peers, "--log-level", "error", *self._words]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = spawn(words, log.fileno(), {})

    def kill(self) -> None:
        """SIGKILL; harmless when it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)
        if self._process is not None:
            self._process.stdout.close()

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections, and answers nobody."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def post(
        self, path: str, body: dict[str, Any], timeout_s: float = CALL_MAX_S, *, token: str = ""
    ) -> dict[str, Any]:
        """Ask its gateway; raises requests' exceptions."""
        headers = {"Authorization": token} if token else {}
        reply = requests.post(f"{self.url}/v3/{path}", json=body, timeout=timeout_s, headers=headers)
        reply.raise_for_status()
        answer: dict[str, Any] = reply.json()
        return answer

    def is_healthy(self) -> bool:
        """Whether it answers for a majority."""
        try:
            self.post("kv/range", {"key": encoded(b"health")}, 2.0)
        except requests.RequestException:
            return False
        return True

    def leads(self) -> bool:
        """Whether it holds itself for the leader."""
        try:
            status = self.post("maintenance/status", {}, 2.0)
        except requests.RequestException:
            return False
        return bool(status.get("leader")) and status.get("leader") == status["header"]["member_id"]


class EtcdCluster:
    """A cluster that runs from construction to `close()`. Raises EtcdMissing.

    `words` go to every member's command line.
    """

    def __init__(self, size: int = 1, words: Sequence[str] = ()) -> None:
        program = find_etcd()
        self._folder = Path(tempfile.mkdtemp(prefix="oncekv-etcd-", dir=_MEMORY if _MEMORY.is_dir() else None))
        self._prefixes = itertools.count()
        self.members = [EtcdMember(f"m{n}", program, self._folder, words) for n in range(size)]
        self.peers = ",".join(f"{member.name}={member.peer}" for member in self.members)
        try:
            for member in self.members:
                member.start(self.peers)
            self._wait_healthy()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all members, and remove their data."""
        for member in self.members:
            member.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def restart(self, *members: EtcdMember) -> None:
        """Start these again, all by default, and wait until the cluster answers."""
        for member in members or self.members:
            member.kill()
            member.start(self.peers)
        self._wait_healthy()

    def url(self, prefix: str = "", *, ports: Sequence[int] = ()) -> str:
        """Of a store under a prefix of its own, or that one; `ports`: of links before the members."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports or [member.port for member in self.members])
        return f"etcd://{hosts}/{prefix or self.new_prefix()}"

    def new_prefix(self) -> str:
        """One that nobody has used."""
        return f"s{os.getpid()}-{next(self._prefixes)}"

    def _wait_healthy(self) -> None:
        """Raises ServerError."""
        end_s = time.monotonic() + START_MAX_S
        while not all(member.is_healthy() for member in self.members):
            if time.monotonic() > end_s:
                raise ServerError(f"etcd is not healthy after {START_MAX_S:g} s")
            time.sleep(POLL_S)


def encoded(data: bytes) -> str:
    """As the gateway has bytes."""
    return base64.b64encode(data).decode()
