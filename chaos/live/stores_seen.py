"""What the stores of the live world hold, looked at from outside: values, dedup records; and the loss of a disk.

A file of a server's own is opened to read. A store that servers share, or that is in a container, is asked through a
server for values, and a dead container's volume is copied and opened; the records of both are made of what the messages
show (`records`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.live.dead_store import DeadStore
from chaos.live.journal import Journal
from chaos.live.live_server import LiveServer
from chaos.live.options import Options
from chaos.live.records import Records
from chaos.live.store_file import StoreFile

__all__ = ["StoresSeen"]

Ask = Callable[..., dict[str, Any]]


class StoresSeen:
    """records: of each server, by its name; all of a shared store have the same."""

    def __init__(
        self, servers: dict[str, LiveServer], folder: Path, journal: Journal, ask: Ask, options: Options
    ) -> None:  # fmt: skip
        self._servers, self._ask = servers, ask
        self._files: dict[str, StoreFile] = {}
        self._dead: DeadStore | None = None
        if options.is_shared:
            self.records = dict.fromkeys(servers, Records("s0", journal, None))
        elif options.runtime == "compose":
            (only,) = servers.values()
            self._dead = DeadStore(only, folder / only.id / "volume")
            self.records = {only.id: Records(only.id, journal, None)}
        else:
            self._files = {name: StoreFile(folder / name / "data" / "kv.db") for name in servers}
            self.records = {name: Records(name, journal, file.records) for name, file in self._files.items()}

    @property
    def all_records(self) -> list[Records]:
        """Each once."""
        return list(dict.fromkeys(self.records.values()))

    def values(self, keys: Sequence[str]) -> dict[str, str] | None:
        """Of all stores together. None where nobody can look."""
        if self._files:
            return self._in_files(keys)
        found = self._asked(keys)
        return self._dead.values(keys) if found is None and self._dead else found

    def lose(self, server: LiveServer, why: str) -> None:
        """The disk of a dead server whose store is its own."""
        file = self._files.get(server.id)
        with file.kept_closed() if file else contextlib.nullcontext():
            server.server.lose_data()
        self.records[server.id].lost(why)

    def _in_files(self, keys: Sequence[str]) -> dict[str, str] | None:
        found: dict[str, str] = {}
        for file in self._files.values():
            values = file.values(keys)
            if values is None:
                return None
            found.update(values)
        return found

    def _asked(self, keys: Sequence[str]) -> dict[str, str] | None:
        for server in self._servers.values():
            if server.state == "up":
                with contextlib.suppress(OSError, ValueError, LookupError):
                    replies = {key: self._ask(server.id, "kv.get", key=key)["result"]["value"] for key in keys}
                    return {key: value for key, value in replies.items() if value is not None}
        return None
