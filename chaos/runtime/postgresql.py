"""A PostgreSQL of the run's own: a new cluster in a temporary directory, gone when the run is over.

It need not sync, `fsync` is off: a process that is killed loses nothing that it has written, and nobody pulls this
machine's plug. Limit: it wants the server's binaries, on PATH or where Debian puts them; it refuses to run as root, so
there it runs as the user `postgres`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from chaos.runtime.base import ServerError
from chaos.runtime.local_server import spawn
from chaos.runtime.ports import KeptPort
from chaos.runtime.postgresql_host import COMMAND_MAX_S, POLL_S, PostgreSQLHost

__all__ = ["PostgreSQL", "find_binaries"]

USER = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")


def find_binaries() -> Path | None:
    """The folder that has `initdb` and `postgres`; the newest, where there are several."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(_DEBIAN.glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class PostgreSQL(PostgreSQLHost):
    """One server on the loopback, from construction to `close`. Raises ServerError."""

    user = USER

    def __init__(self, log: Path, *, durable: bool = False) -> None:
        """`durable`: commits reach the disk, as a benchmark wants it."""
        super().__init__()
        binaries = find_binaries()
        if binaries is None:
            raise ServerError("there is no PostgreSQL server (initdb, postgres); on Debian: apt-get install postgresql")
        self._binaries = binaries
        self._user = _other_user()
        self._is_durable = durable
        self._kept_port = KeptPort()
        self.port = self._kept_port.number
        self.upstream = self.address = f"127.0.0.1:{self.port}"
        self._log = log
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-postgresql-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._data = self._folder / "data"
        try:
            if self._user is not None:
                shutil.chown(self._folder, self._user)
            words = ["--no-sync", "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale"]
            self._run("initdb", *words, "--pgdata", str(self._data))
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "max_connections": 300,
                    "fsync": "on" if self._is_durable else "off",
                    "unix_socket_directories": str(self._folder)}  # fmt: skip
        words = [str(self._binaries / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = spawn(words, log.fileno(), {}, self._user, signal.SIGQUIT)
        self.wait_ready()

    def kill(self) -> None:
        assert self._process is not None
        first = self._process.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for process in (first, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._reap()
        end_s = time.monotonic() + COMMAND_MAX_S
        while any(_runs(child) for child in children):  # whoever starts it again wants their shared memory gone
            if time.monotonic() > end_s:
                raise ServerError("PostgreSQL's processes outlive SIGKILL")
            time.sleep(POLL_S)

    def follow(self, port: int) -> None:
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._data)
        source = f"host=127.0.0.1 port={port} user={USER} application_name=standby"
        words = ["--write-recovery-conf", "--wal-method=stream", "--no-sync", "--checkpoint=fast"]
        self._run("pg_basebackup", "--pgdata", str(self._data), "--dbname", source, *words)
        self.start()

    def close(self) -> None:
        self._end(signal.SIGQUIT)
        self._kept_port.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-1000:]

    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(COMMAND_MAX_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        self._reap()

    def _reap(self) -> None:
        process = self._process
        if process is not None:
            process.wait(COMMAND_MAX_S)
            if process.stdout is not None:
                process.stdout.close()

    def _run(self, program: str, *words: str) -> None:
        """One of its programs, to its end. Raises ServerError."""
        user = self._user
        try:
            done = subprocess.run(
                [str(self._binaries / program), *words], user=user, group=user, cwd="/",
                extra_groups=None if user is None else [], timeout=COMMAND_MAX_S, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerError(f"{program}: {error}") from None
        if done.returncode:
            raise ServerError(f"{program}: {(done.stderr or done.stdout).strip()[-500:]}")


def _runs(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _other_user() -> str | None:
    """Whom it runs as, where that is not us. Raises ServerError."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(USER).pw_name
    except KeyError:
        raise ServerError(f"PostgreSQL refuses to run as root, and there is no user {USER}") from None
