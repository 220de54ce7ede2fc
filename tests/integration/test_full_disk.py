"""A disk that fills: calls are told that nobody can tell, nothing is half there, and the server serves on."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

from tests.support.replies import Answer
from tests.support.server import Node

LONG = "b" * 50_000


def _limit_files(node: Node, size: int) -> None:
    """From now on no file of the server may grow past `size` bytes: to SQLite, a full disk."""
    for pid in node.server.members():  # the one that serves, and the one that commits
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_full_disk_loses_nothing_and_doubles_nothing(fresh: Callable[..., Node]) -> None:
    """What failed for want of room is indefinite, leaves no trace, and runs once when there is room again."""
    node = fresh()
    kv = node.kv
    session = kv.ok("session.open")["session"]

    def append(value: str, seq: int) -> Answer:
        return kv.call("kv.append", key="k", value=value, _meta={"session": session, "seq": seq})

    first = append("a", 1)
    _limit_files(node, Path(node.server.data_dir, "kv.db-wal").stat().st_size)
    failed = append(LONG, 2)
    assert failed.error is not None
    assert (failed.code, failed.error["data"]["definite"]) == (-32603, False)
    assert kv.ok("kv.get", key="k") == {"value": "a", "version": 1}
    assert append("a", 1).bare == first.bare
    _limit_files(node, resource.RLIM_INFINITY)
    assert append(LONG, 2).ok == {"version": 2, "offset": 1}
    assert append(LONG, 2).replayed
    node.server.kill()
    node.server.start()
    assert append(LONG, 2).replayed
    assert kv.ok("kv.get", key="k")["value"] == "a" + LONG
