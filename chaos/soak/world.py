"""What a soak runs on: one store, two servers, and for each client a link to either of them.

The first server is killed, restarted and stopped; the second one is stopped at most, so that its memory has the whole
time to grow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from chaos.runtime.links import Link, Links
from chaos.runtime.local import LocalServer, sqlite_url
from chaos.runtime.postgresql import PostgreSQL, find_binaries
from chaos.runtime.toxiproxy import Toxiproxy

__all__ = ["STORES", "World", "store_at_hand"]

STORES = ("postgres", "sqlite")
START_MAX_S = 60.0


def store_at_hand() -> str:
    """The first of STORES that can be had here."""
    return "postgres" if find_binaries() else "sqlite"


class World:
    """Running, from the `with` statement on. Raises ServerError, ToxiproxyMissing, ToxiproxyFailed."""

    def __init__(self, folder: Path, store: str, clients: int, command: Sequence[str] = ()) -> None:
        """`command`: other words than `oncekv` to start a server with."""
        self._folder = folder
        self._store = store
        self._clients = clients
        self._command = command
        self._postgresql: PostgreSQL | None = None
        self._database = ""
        self._file = folder / "store" / "kv.db"
        self.servers: list[LocalServer] = []
        self.links: list[list[Link]] = []
        """Of each client: to the first server, to the second."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            url = self._open_store(stack)
            toxiproxy = Toxiproxy(self._folder / "toxiproxy.log")
            stack.callback(toxiproxy.stop)
            links = Links("127.0.0.1", toxiproxy.port)
            for name in ("one", "two"):
                server = LocalServer(
                    self._folder / name, store=url, name=name, start_timeout_s=START_MAX_S, command=self._command
                )
                self.servers.append(stack.enter_context(server))
            for client in range(self._clients):
                ends = [(server.log.stem, urlsplit(server.url).netloc) for server in self.servers]
                self.links.append([links.make(f"c{client}--{name}", where) for name, where in ends])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def store_bytes(self) -> int:
        """What the store takes of its disk: its database, or the file."""
        if self._postgresql is not None:
            return int(self._postgresql.execute(f"SELECT pg_database_size('{self._database}')")[0][0])
        return self._file.stat().st_size

    def log_bytes(self) -> int:
        """SQLite's log, which grows to a bound and is written over then; PostgreSQL's is its own business."""
        log = self._file.with_name(f"{self._file.name}-wal")
        return log.stat().st_size if log.exists() else 0

    def _open_store(self, stack: contextlib.ExitStack) -> str:
        if self._store == "postgres":
            self._postgresql = stack.enter_context(contextlib.closing(PostgreSQL(self._folder / "postgresql.log")))
            url = self._postgresql.new_store()
            self._database = url.rpartition("/")[2]
            return url
        self._file.parent.mkdir()
        return sqlite_url(self._file.absolute())
