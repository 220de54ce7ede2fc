"""The tests' own etcd (`chaos.runtime.etcd`): what stands in it, and one that asks for passwords."""

from __future__ import annotations

import base64
from typing import Any

from chaos.runtime import etcd
from chaos.runtime.etcd import EtcdMember
from chaos.runtime.etcd_members import encoded

__all__ = ["EtcdCluster", "EtcdMember", "encoded"]


class EtcdCluster(etcd.EtcdCluster):
    """A cluster, and what tests do with one."""

    _root: dict[str, Any] = {}  # noqa: RUF012 set as a whole

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
