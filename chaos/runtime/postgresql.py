"""A PostgreSQL of the run's own: a new cluster in a temporary directory, gone when the run is over.

Only its clients are killed here, so it need not sync: `fsync` is off. Limit: it wants the server's binaries, on PATH or
where Debian puts them; it refuses to run as root, so there it runs as the user `postgres`.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from chaos.runtime.base import ServerError
from chaos.runtime.local_server import spawn
from chaos.runtime.ports import KeptPort

__all__ = ["PostgreSQL", "find_binaries"]

USER = "postgres"
COMMAND_MAX_S = 60.0
POLL_S = 0.05
_DEBIAN = Path("/usr/lib/postgresql")


def find_binaries() -> Path | None:
    """The folder that has `initdb` and `postgres`; the newest, where there are several."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    folders += sorted(_DEBIAN.glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class PostgreSQL:
    """One server on the loopback, without a password, from construction to `close`. Raises ServerError."""

    def __init__(self, log: Path, *, durable: bool = False) -> None:
        """`durable`: commits reach the disk, as a benchmark wants it."""
        binaries = find_binaries()
        if binaries is None:
            raise ServerError("there is no PostgreSQL server (initdb, postgres); on Debian: apt-get install postgresql")
        self._binaries = binaries
        self._user = _other_user()
        self._numbers = itertools.count(1)
        self._is_durable = durable
        self._lock = threading.Lock()
        self._kept_port = KeptPort()
        self._log = log
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-postgresql-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def make_database(self) -> str:
        """A new, empty database; its URL, for SQLAlchemy."""
        name = f"cell{next(self._numbers)}"
        with self._lock:  # two that copy the template at once would be in each other's way
            self._execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self._kept_port.number}/{name}"

    def close(self) -> None:
        """End it at once, and leave nothing of it. Harmless when closed."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(COMMAND_MAX_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(COMMAND_MAX_S)
        if process is not None and process.stdout is not None:
            process.stdout.close()
        self._kept_port.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _execute(self, statement: str) -> None:
        """As a client does; its driver is wanted here alone. Raises ServerError."""
        import psycopg

        where = f"host=127.0.0.1 port={self._kept_port.number} user={USER} dbname=postgres connect_timeout=5"
        try:
            with psycopg.connect(where, autocommit=True) as connection:
                connection.execute(statement.encode())
        except psycopg.Error as error:
            raise ServerError(f"PostgreSQL: {error}") from None

    def _start(self) -> None:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        data = self._folder / "data"
        self._make_cluster(data)
        settings = {"listen_addresses": "127.0.0.1", "port": self._kept_port.number, "max_connections": 300,
                    "fsync": "on" if self._is_durable else "off",
                    "unix_socket_directories": str(self._folder)}  # fmt: skip
        words = [str(self._binaries / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = spawn(words, log.fileno(), {}, self._user, signal.SIGQUIT)
        self._wait_ready()

    def _wait_ready(self) -> None:
        assert self._process is not None
        end_s = time.monotonic() + COMMAND_MAX_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end_s:
                raise ServerError(f"PostgreSQL does not start: {self._log.read_text(errors='replace')[-1000:]}")
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except ServerError:
            return False
        return True

    def _make_cluster(self, data: Path) -> None:
        words = ["--no-sync", "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale"]
        user = self._user
        try:
            done = subprocess.run(
                [str(self._binaries / "initdb"), *words, "--pgdata", str(data)], user=user, group=user, cwd="/",
                extra_groups=None if user is None else [], timeout=COMMAND_MAX_S, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerError(f"initdb: {error}") from None
        if done.returncode:
            raise ServerError(f"initdb: {(done.stderr or done.stdout).strip()[-500:]}")


def _other_user() -> str | None:
    """Whom it runs as, where that is not us. Raises ServerError."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(USER).pw_name
    except KeyError:
        raise ServerError(f"PostgreSQL refuses to run as root, and there is no user {USER}") from None
