"""The members of an etcd cluster, wherever they run, and what is asked of them: who leads, and whether they answer."""

from __future__ import annotations

import base64
import itertools
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import requests

from chaos.runtime.base import ServerError

__all__ = ["START_MAX_S", "Member", "Members", "encoded"]

START_MAX_S = 30.0
CALL_MAX_S = 5.0
POLL_S = 0.05


class Member(ABC):
    """One member, which keeps its data and its name over its lives."""

    name: str
    url: str
    """Where it answers us."""
    address: str
    """host:port, as servers have it."""
    upstream: str
    """host:port, as Toxiproxy has it."""

    @abstractmethod
    def start(self) -> None:
        """Start it, again on what it has."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL; harmless when it does not run."""

    @abstractmethod
    def pause(self) -> None:
        """It stands still: it keeps its connections, and answers nobody."""

    @abstractmethod
    def resume(self) -> None: ...

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


class Members(ABC):
    """A cluster, from when it was made to `close()`."""

    members: Sequence[Member]

    def __init__(self) -> None:
        self._prefixes = itertools.count()

    @abstractmethod
    def close(self) -> None:
        """End all members, and remove their data."""

    def restart(self, *members: Member) -> None:
        """Start these again, all by default, and wait until the cluster answers."""
        for member in members or self.members:
            member.kill()
            member.start()
        self.wait_healthy()

    def leader(self) -> Member:
        """The one that leads; waits for it. Raises ServerError."""
        end_s = time.monotonic() + START_MAX_S
        while True:
            for member in self.members:
                if member.leads():
                    return member
            if time.monotonic() > end_s:
                raise ServerError(f"etcd has no leader after {START_MAX_S:g} s")
            time.sleep(POLL_S)

    def followers(self) -> list[Member]:
        """All members but the leader."""
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def url(self, prefix: str = "", *, hosts: Sequence[str] = ()) -> str:
        """Of a store under a prefix of its own, or that one; `hosts`: of links before the members."""
        chosen = ",".join(hosts or [member.address for member in self.members])
        return f"etcd://{chosen}/{prefix or self.new_prefix()}"

    def new_prefix(self) -> str:
        """One that nobody has used."""
        return f"s{os.getpid()}-{next(self._prefixes)}"

    def wait_healthy(self) -> None:
        """Raises ServerError."""
        end_s = time.monotonic() + START_MAX_S
        while not all(member.is_healthy() for member in self.members):
            if time.monotonic() > end_s:
                raise ServerError(f"etcd is not healthy after {START_MAX_S:g} s")
            time.sleep(POLL_S)


def encoded(data: bytes) -> str:
    """As the gateway has bytes."""
    return base64.b64encode(data).decode()
