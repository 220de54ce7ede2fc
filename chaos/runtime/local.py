"""Local processes (`--runtime local`): servers as processes, links through one Toxiproxy, all on the loopback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from chaos.runtime.bank_server import BankServer
from chaos.runtime.base import Server, ServerError, Serving
from chaos.runtime.clock import ServerClock
from chaos.runtime.linked_store import LinkedStore
from chaos.runtime.links import Link, Links
from chaos.runtime.local_server import LocalServer, oncekv_command, sqlite_url
from chaos.runtime.postgresql import PostgreSQL
from chaos.runtime.stores import SHARED, SharedStores, place_for
from chaos.runtime.toxiproxy import Toxiproxy

__all__ = ["LocalRuntime", "LocalServer", "ServerError", "oncekv_command", "open_runtime", "sqlite_url"]

START_MAX_S = 60.0  # of a scenario's server, on a machine that others use too


class LocalRuntime:
    """Servers as processes, links through one Toxiproxy of our own; everything on the loopback."""

    name = "local"
    here = "127.0.0.1"
    cells_at_once = 4

    def __init__(self, folder: Path, serving: Serving, command: Sequence[str] = ()) -> None:
        """`command`: other words than `oncekv`, or another application than `bank.app:app`, to start a server with."""
        folder.mkdir(parents=True, exist_ok=True)
        self.serving = serving
        self._command = command
        self._toxiproxy = Toxiproxy(folder / "toxiproxy.log")
        self._links = Links("127.0.0.1", self._toxiproxy.port)
        self._postgresql: PostgreSQL | None = None
        self._stores: SharedStores | None = None
        try:
            if serving.database == "postgresql":
                self._postgresql = PostgreSQL(folder / "postgresql.log")
            if serving.is_shared:
                self._stores = SHARED[serving.store](folder / f"{serving.store}.log")
        except BaseException:
            self.close()
            raise

    def server(
        self,
        folder: Path,
        delivery: str,
        *,
        own_clock: bool = False,
        beside: Server | None = None,
        store: LinkedStore | None = None,
    ) -> LocalServer:
        """A started server with failpoints, its data in `folder`; on a clock of its own that can be set, if wanted."""
        if self.serving.service == "bank":
            database = self._postgresql.make_database() if self._postgresql else ""
            return BankServer(folder, database=database, application=self._command).start()
        clock = ServerClock(folder.with_name("clock")) if own_clock else None
        return LocalServer(
            folder, store=place_for(self._stores, beside, store), delivery=delivery, workers=self.serving.workers,
            failpoints=True, clock=clock, extra_args=["--model", self.serving.model], command=self._command,
            start_timeout_s=START_MAX_S,
        ).start()  # fmt: skip

    def store(self, name: str, kind: str) -> LinkedStore:
        """An empty store of that kind, over links that begin with that name."""
        assert self._stores is not None, "only a shared store can be broken apart from its servers"
        return self._stores.open(name, kind, self._links)

    def link(self, name: str, server: Server) -> Link:
        """A healthy link to the server."""
        return self._links.make(name, urlsplit(server.url).netloc)

    def link_here(self, name: str, port: int) -> Link:
        """A healthy link to what listens on this machine."""
        return self._links.make(name, f"{self.here}:{port}")

    def close(self) -> None:
        """End Toxiproxy and the databases; each server is ended by the cell that started it."""
        self._toxiproxy.stop()
        if self._stores is not None:
            self._stores.close()
        if self._postgresql is not None:
            self._postgresql.close()


def open_runtime(folder: Path, serving: Serving) -> LocalRuntime:
    """What `--runtime local` asks for. Raises ToxiproxyMissing or ToxiproxyFailed."""
    return LocalRuntime(folder, serving)
