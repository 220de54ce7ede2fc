"""etcd under a cell's servers: three members, each behind a link, and what becomes of them.

To cut a member off from the other members takes more than one link before each of them, for every member dials every
other. So it is stopped (SIGSTOP, `docker pause`): its connections stay and nothing comes, to servers and to members
alike. When it goes on, it takes itself for the leader until it hears otherwise.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import ClassVar

from chaos.runtime.base import LINKED
from chaos.runtime.etcd_members import Member, Members
from chaos.runtime.linked_store import LinkedStore
from chaos.runtime.links import Links

__all__ = ["MEMBERS", "EtcdStore", "EtcdStores"]

MEMBERS = 3
_KEYS = "kv/log/"
"""Where the workload's logs stand below the store's prefix (docs/stores.md)."""


class EtcdStore(LinkedStore):
    """A prefix of a cluster. `is_own`: nobody else uses the cluster, so it may be broken, and ends with the store."""

    engine: ClassVar[str] = "etcd"
    committed: ClassVar[bytes] = b'"succeeded":true'

    def __init__(self, name: str, cluster: Members, links: Links, *, is_own: bool) -> None:
        super().__init__(name, [member.upstream for member in cluster.members], links)
        self._cluster = cluster
        self._is_own = is_own
        self._dead: list[Member] = []
        self._paused: list[Member] = []
        prefix = cluster.new_prefix()
        self.url = cluster.url(prefix, hosts=self.hosts)
        key = f"/{prefix}/{_KEYS}".encode()
        self.commits = b'"request_put":{"key":"' + base64.b64encode(key[: len(key) // 3 * 3])

    def kill_leader(self) -> str:
        return self._kill(self._cluster.leader())

    def pause_leader(self) -> str:
        leader = self._cluster.leader()
        leader.pause()
        self._paused.append(leader)
        return f"member {leader.name}, which led, fell silent"

    def kill_majority(self) -> str:
        return "; ".join([self._kill(member) for member in self._cluster.followers()])

    def restore(self) -> None:
        super().restore()
        while self._paused:
            self._paused.pop().resume()
        if self._dead:
            self._cluster.restart(*self._dead)
            self._dead.clear()

    def close(self) -> None:
        super().close()
        if self._is_own:
            self._cluster.close()

    def _kill(self, member: Member) -> str:
        member.kill()
        self._dead.append(member)
        return f"SIGKILL to member {member.name}"


class EtcdStores:
    """A cluster whose prefixes are stores, and one more for each cell that breaks its own; `start` makes one."""

    def __init__(self, start: Callable[[], Members]) -> None:
        self._start = start
        self._cluster = start()

    def new_store(self) -> str:
        return self._cluster.url()

    def open(self, name: str, kind: str, links: Links) -> EtcdStore:
        if kind == LINKED:
            return EtcdStore(name, self._cluster, links, is_own=False)
        own = self._start()
        try:
            return EtcdStore(name, own, links, is_own=True)
        except BaseException:
            own.close()
            raise

    def close(self) -> None:
        self._cluster.close()
