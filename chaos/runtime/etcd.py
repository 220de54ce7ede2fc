"""Real etcd clusters of a run's own: private directories, free ports of 127.0.0.1, gone with whoever started them.

One member or three. A member can be killed, paused and started again on its data and ports. On a file system in memory
where there is one, for nobody pulls this machine's plug, and every transaction is synced.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from chaos.runtime.base import ServerError
from chaos.runtime.etcd_members import Member, Members
from chaos.runtime.local_server import spawn
from chaos.runtime.ports import KeptPort

__all__ = ["EtcdCluster", "EtcdMember", "EtcdMissing", "find_etcd"]

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


class EtcdMember(Member):
    """A process on a directory and two ports that stay its own."""

    def __init__(self, name: str, program: str, folder: Path, words: Sequence[str]) -> None:
        self.name = name
        self._program = program
        self._folder = folder
        self._words = words
        self._ports = KeptPort(), KeptPort()
        self._process: Any = None
        self.port = self._ports[0].number
        self.upstream = self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.peers = ""
        """All members, as etcd names them."""
        self.peer = f"http://127.0.0.1:{self._ports[1].number}"

    def start(self) -> None:
        words = [self._program, "--name", self.name, "--data-dir", str(self._folder / self.name)]
        words += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        words += ["--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer]
        words += ["--initial-cluster", self.peers, "--log-level", "error", *self._words]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = spawn(words, log.fileno(), {})

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)
        if self._process is not None:
            self._process.stdout.close()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class EtcdCluster(Members):
    """A cluster that runs from construction to `close()`. Raises EtcdMissing.

    `words` go to every member's command line. `below`: where its data stands, as a benchmark wants it.
    """

    members: list[EtcdMember]

    def __init__(self, size: int = 1, words: Sequence[str] = (), below: Path | None = None) -> None:
        super().__init__()
        program = find_etcd()
        below = below or (_MEMORY if _MEMORY.is_dir() else None)
        self._folder = Path(tempfile.mkdtemp(prefix="oncekv-etcd-", dir=below))
        self.members = [EtcdMember(f"m{n}", program, self._folder, words) for n in range(size)]
        peers = ",".join(f"{member.name}={member.peer}" for member in self.members)
        try:
            for member in self.members:
                member.peers = peers
                member.start()
            self.wait_healthy()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        for member in self.members:
            member.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
