"""A real PostgreSQL of the tests' own: a private directory, a free port of 127.0.0.1, gone with whoever started it.

It does not run as root, so where the tests do, it is run as `postgres` or `nobody`. Without fsync: no test here pulls
the plug of the machine, and a process that is killed loses nothing that it has written.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from psycopg import sql

from chaos.runtime.ports import KeptPort
from tests.support.waiting import until

__all__ = ["MISSING", "Postgres", "PostgresMissing"]

MISSING = "NO POSTGRESQL: the tests of the library on PostgreSQL need initdb and postgres: apt-get install postgresql"
_PLACES = "/usr/lib/postgresql"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "120",
    "shared_buffers": "32MB",
    "deadlock_timeout": "100ms",
    "autovacuum": "off",
    "log_min_messages": "error",
    "log_min_error_statement": "panic",
}
# As in chaos.runtime.toxiproxy: a program in between, which ends it with us. SIGQUIT is PostgreSQL's immediate stop.
# It changes the user as well, since that one may not read this Python; the death signal must be set after that.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
parent, user, group = map(int, sys.argv[1:4])
if user:
    os.setgroups([]); os.setgid(group); os.setuid(user)
ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[4], sys.argv[4:])
"""


class PostgresMissing(Exception):
    """There is no PostgreSQL here; the message is one line with the way out."""


class Postgres:
    """A server, running from construction to `close()`. Raises PostgresMissing."""

    def __init__(self) -> None:
        initdb, self._postgres = _program("initdb"), _program("postgres")
        self._as = _unprivileged()
        self._root = Path(tempfile.mkdtemp(prefix="oncekv-postgres-"))
        self._data = self._root / "data"
        self._numbers = itertools.count()
        try:
            if self._as:
                os.chown(self._root, self._as["user"], self._as["group"])
            words = ["-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale"]
            subprocess.run([initdb, *words], check=True, capture_output=True, timeout=60, cwd=self._root, **self._as)
            self._kept_port = KeptPort()  # else another test may be given it before PostgreSQL listens
            self.port = self._kept_port.number
            self.start()
        except BaseException:
            shutil.rmtree(self._root, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it again, on the same data and port."""
        settings = {**_SETTINGS, "port": str(self.port), "listen_addresses": "127.0.0.1"}
        settings["unix_socket_directories"] = ""
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        whose = [str(number) for number in (os.getpid(), self._as.get("user", 0), self._as.get("group", 0))]
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *whose, self._postgres, "-D", self._data, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._root,
                process_group=0,
            )
        until(self._answers, what="PostgreSQL")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends it in order, SIGQUIT as a crash does; open connections are cut either way."""
        self._process.send_signal(how)
        self._process.wait(30)

    def close(self) -> None:
        """End it, and remove its data."""
        if self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        self._kept_port.release()
        shutil.rmtree(self._root, ignore_errors=True)

    def url(self, database: str = "postgres", *, port: int | None = None, user: str = "postgres") -> str:
        """Of a database, as SQLAlchemy takes it; `port` of a link before it."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection that commits each statement."""
        return psycopg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/{database}", autocommit=True)

    def create(self) -> str:
        """A new empty database; its name."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop(self, name: str) -> None:
        """Remove a database and whoever is connected to it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"PostgreSQL has ended: {(self._root / 'log').read_text()[-2000:]}"
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def skip_without() -> None:
    """Skip the test where there is no PostgreSQL."""
    try:
        _program("initdb"), _program("postgres")
    except PostgresMissing as error:
        pytest.skip(str(error))


def _program(name: str) -> str:
    newest_first = sorted(Path(_PLACES).glob(f"*/bin/{name}"), key=lambda path: -int(path.parts[-3].split(".")[0]))
    found = str(newest_first[0]) if newest_first else shutil.which(name)
    if found is None:
        raise PostgresMissing(MISSING)
    return os.path.realpath(found)


def _unprivileged() -> dict[str, Any]:
    """As whom it runs, for subprocess; nothing where we are not root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise PostgresMissing("NO POSTGRESQL: it does not run as root, and there is no user postgres or nobody")
