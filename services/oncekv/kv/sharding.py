"""Which of several servers keeps a key: a fixed rule that every client knows, so that nobody has to be asked.

A key is kept by the server at place `crc32(key in UTF-8) mod n` among the n server names in their order of letters.
Place on the way: before the stub (1), where an application has one client for each server. Limit: the rule says where a
key is, not what happens when the number of servers changes; each server keeps its promises for its own store alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

__all__ = ["shard_for"]


def shard_for(key: str, servers: Sequence[str]) -> str:
    """The name of the server that keeps `key`, of at least one name. In which order they are given does not matter."""
    return sorted(servers)[zlib.crc32(key.encode()) % len(servers)]
