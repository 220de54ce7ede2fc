"""The store of a dead container, looked at from outside: its files are copied out of its volume, once in each death.

While the container runs, nobody can look into its volume soundly; then the server is asked (`stores_seen`).
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from chaos.live.live_server import LiveServer
from chaos.live.store_file import StoreFile
from chaos.runtime.base import ServerError
from chaos.runtime.compose_server import ComposeServer

__all__ = ["DeadStore"]


class DeadStore:
    """Safe for threads. `folder`: where the copy goes."""

    def __init__(self, server: LiveServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._lock = threading.Lock()
        self._copied = 0
        """After which death."""

    def values(self, keys: Sequence[str]) -> dict[str, str] | None:
        """Of those keys that are there; None while the server lives, and where the copy cannot be had."""
        with self._lock:
            death = self._server.deaths
            if self._server.is_dead and self._copied != death:
                self._copied = death if self._copy() else 0
            if not self._server.is_dead or self._copied != self._server.deaths:
                return None
            return StoreFile(self._folder / "kv.db").values(keys)

    def _copy(self) -> bool:
        assert isinstance(self._server.server, ComposeServer)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        try:
            self._server.server.copy_data(self._folder)
        except ServerError:
            return False
        return True
