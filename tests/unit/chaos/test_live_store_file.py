"""The live page looks into a store's file, and a lost disk takes it away; neither may be in the other's way."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from pathlib import Path

from chaos.live.store_file import StoreFile

ROUNDS = 150


def _dead_store(folder: Path) -> None:
    """With its log, as SIGKILL leaves it."""
    living = folder.with_name("living")
    living.mkdir()
    with contextlib.closing(sqlite3.connect(living / "kv.db", isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("CREATE TABLE kv (key, value)")
        store.execute("INSERT INTO kv VALUES ('k', 'x')")
        shutil.copytree(living, folder)
    shutil.rmtree(living)


def test_a_disk_can_be_lost_while_somebody_looks(tmp_path: Path) -> None:
    """SQLite makes its index anew for whoever opens a dead server's file, so a look and a loss exclude each other."""
    file = StoreFile(tmp_path / "data" / "kv.db")
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            file.values(["k"])

    looking = [threading.Thread(target=look) for _ in range(4)]
    for thread in looking:
        thread.start()
    try:
        for _ in range(ROUNDS):
            _dead_store(tmp_path / "data")
            with file.kept_closed():
                shutil.rmtree(tmp_path / "data")
    finally:
        ended.set()
        for thread in looking:
            thread.join()
