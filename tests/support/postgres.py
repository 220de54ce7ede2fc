"""A real PostgreSQL for tests: on a private folder and a free port of 127.0.0.1, and gone when they end."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from chaos.runtime.ports import KeptPort

__all__ = ["Postgres", "binaries", "postgres_or_skip"]

SETTINGS = "fsync=off full_page_writes=off max_connections=200 deadlock_timeout=200ms"


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl: on PATH, or where Debian puts them."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


class Postgres:
    """One server; each test gets a database of its own."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._bin = binaries()
        self._folder = folder
        self._settings = [] if durable else SETTINGS.split()
        self._numbers = itertools.count(1)
        self._kept = KeptPort()
        self.port = self._kept.number

    def start(self) -> None:
        """Make the cluster, and start it."""
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", self._data, "-U", "once", "--auth=trust", "-E", "UTF8", "--no-sync")
        self.go()

    def go(self) -> None:
        """Start what was stopped."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        options += "".join(f" -c {setting}" for setting in self._settings)
        self._run("pg_ctl", "-D", self._data, "-o", options, "-w", "-l", f"{self._folder}/log", "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it: `immediate` as a crash does, `fast` with all connections cut."""
        self._run("pg_ctl", "-D", self._data, "-m", how, "-w", "stop")

    def database(self) -> str:
        """A new database; its libpq URL."""
        name = f"d{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def url(self, name: str) -> str:
        """Of a database."""
        return f"postgresql://once@127.0.0.1:{self.port}/{name}"

    @property
    def _data(self) -> str:
        return f"{self._folder}/data"

    def _run(self, program: str, *words: str) -> None:
        command: Sequence[str] = [f"{self._bin}/{program}", *words]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def postgres_or_skip(*, durable: bool = False) -> Iterator[Postgres]:
    """A server for as long as the block runs; a loud skip where there is none (a failure under NO_SKIPS)."""
    if binaries() is None:
        pytest.skip("NO POSTGRESQL: what needs one is not tried (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="oncekv-pg-"))
    folder.chmod(0o755)
    server = Postgres(folder, durable=durable)
    try:
        server.start()
        yield server
    finally:
        with contextlib.suppress(subprocess.SubprocessError):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
