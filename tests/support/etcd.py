"""Real etcd clusters of the tests' own: private directories, free ports of 127.0.0.1, gone with whoever started them.

One member or three. A member can be killed, paused and started again on its data and ports. On a file system in memory
where there is one, for the tests pull no machine's plug, and every transaction is synced.
"""

from __future__ import annotations

import base64
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import requests

from bench.baselines.etcd import find_etcd
from chaos.runtime.local_server import spawn
from chaos.runtime.ports import KeptPort
from tests.support.waiting import until

__all__ = ["EtcdCluster", "EtcdMember"]

START_MAX_S = 30.0
CALL_MAX_S = 5.0
_MEMORY = Path("/dev/shm")


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
        self._root: dict[str, Any] = {}
        self.members = [EtcdMember(f"m{n}", program, self._folder, words) for n in range(size)]
        self.peers = ",".join(f"{member.name}={member.peer}" for member in self.members)
        try:
            for member in self.members:
                member.start(self.peers)
            until(lambda: all(member.is_healthy() for member in self.members), START_MAX_S, "a healthy etcd")
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
        until(lambda: all(member.is_healthy() for member in self.members), START_MAX_S, "a healthy etcd")

    def leader(self) -> EtcdMember:
        """The one that leads; waits for it."""
        return until(lambda: next((member for member in self.members if member.leads()), None), START_MAX_S, "a leader")  # type: ignore[return-value]

    def followers(self) -> list[EtcdMember]:
        """All members but the leader."""
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def url(self, prefix: str = "", *, ports: Sequence[int] = ()) -> str:
        """Of a store under a prefix of its own, or that one; `ports`: of links before the members."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports or [member.port for member in self.members])
        return f"etcd://{hosts}/{prefix or self.new_prefix()}"

    def new_prefix(self) -> str:
        """One that nobody has used."""
        return f"t{os.getpid()}-{next(self._prefixes)}"

    def get(self, key: str, *, is_prefix: bool = False) -> dict[bytes, bytes]:
        """What stands under a key, or under all that begin with it."""
        begin = key.encode()
        body = {"key": encoded(begin)}
        if is_prefix:
            body["range_end"] = encoded(begin[:-1] + bytes([begin[-1] + 1]))
        found = self.members[0].post("kv/range", body).get("kvs", [])
        return {base64.b64decode(kv["key"]): base64.b64decode(kv.get("value", "")) for kv in found}

    def revision(self) -> int:
        """How many transactions have changed anything."""
        return int(self.members[0].post("kv/range", {"key": encoded(b"revision")})["header"]["revision"])

    def guard(self, user: str, password: str) -> None:
        """Ask for a password from now on; this user, who must be `root`, may do everything."""
        post = self.members[0].post
        post("auth/user/add", {"name": user, "password": password})
        post("auth/role/add", {"name": user})
        post("auth/user/grant", {"user": user, "role": user})
        post("auth/enable", {})
        self._root = {"name": user, "password": password}

    def add_user(self, name: str, password: str, prefix: str) -> None:
        """One who may read and write what begins with this; in a cluster that asks for passwords."""
        begin = prefix.encode()
        token = self.members[0].post("auth/authenticate", self._root)["token"]
        permission = {"permType": "READWRITE", "key": encoded(begin)}
        permission["range_end"] = encoded(begin[:-1] + bytes([begin[-1] + 1]))
        for path, body in (
            ("auth/user/add", {"name": name, "password": password}),
            ("auth/role/add", {"name": name}),
            ("auth/role/grant", {"name": name, "perm": permission}),
            ("auth/user/grant", {"user": name, "role": name}),
        ):
            self.members[0].post(path, body, token=token)

    def put(self, key: str, value: str) -> None:
        """Write one key."""
        self.members[0].post("kv/put", {"key": encoded(key.encode()), "value": encoded(value.encode())})


def encoded(data: bytes) -> str:
    """As the gateway has bytes."""
    return base64.b64encode(data).decode()
