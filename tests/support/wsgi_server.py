"""A Flask application on a real server: gunicorn, granian, or Flask's own. Its processes can be killed one by one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from chaos.runtime.ports import KeptPort
from tests.support.caller import LOST, Caller
from tests.support.waiting import until

__all__ = ["SERVERS", "WsgiServer"]

SERVERS = ("gunicorn", "granian", "flask")
_ROOT = Path(__file__).resolve().parents[2]


class WsgiServer:
    """Running from construction to `close()`; the port stays over restarts."""

    def __init__(
        self,
        name: str,
        module: str,
        environment: Mapping[str, str],
        log: Path,
        *,
        workers: int = 3,
        threads: int = 8,
        preloads: bool = True,
    ) -> None:
        """`preloads`: gunicorn imports the application once, before it forks, which is quicker."""
        self._kept_port = KeptPort()
        self.port = self._kept_port.number
        self.url = f"http://127.0.0.1:{self.port}"
        self._words = _words(name, module, self.port, workers, threads, preloads=preloads)
        self._environment = {**os.environ, **environment}
        self._log = log
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words,
                cwd=_ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        until(self.is_ready, what=f"the server; {self._log.read_text()[-2000:]}")

    def is_ready(self) -> bool:
        """Whether it answers, from its database."""
        assert self._process.poll() is None, f"the server has ended: {self._log.read_text()[-3000:]}"
        with Caller(self.url, timeout_s=5) as caller:
            try:
                return caller.fetch("GET", "/readyz").status == 200
            except LOST:
                return False

    @property
    def workers(self) -> list[int]:
        """The processes that serve, those that have just ended left out."""
        try:
            listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        except OSError:
            return []
        return [int(pid) for pid in listed.split()]

    def kill_worker(self, number: int = 0) -> None:
        """SIGKILL to one process that serves; whoever started it starts another."""
        found = self.workers
        if found:
            os.kill(found[number % len(found)], signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL to all of it at once."""
        if self._process.returncode is not None:
            return  # it has been waited for, so its number may be another's by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def close(self) -> None:
        """The same: what it must keep, it must have kept. Its port is anybody's."""
        self.kill()
        self._kept_port.release()


def _words(name: str, module: str, port: int, workers: int, threads: int, *, preloads: bool) -> list[str]:
    python = [sys.executable, "-m"]
    if name == "gunicorn":
        bind = ["--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--threads", str(threads)]
        preload = ["--preload"] if preloads else []
        return [*python, "gunicorn", *bind, *preload, "--log-level", "warning", f"{module}:app"]
    if name == "granian":
        bind = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
        more = ["--blocking-threads", str(threads), "--respawn-failed-workers", "--no-access-log"]
        return [*python, "granian", "--interface", "wsgi", *bind, *more, f"{module}:app"]
    return [*python, "flask", "--app", module, "run", "--host", "127.0.0.1", "--port", str(port), "--with-threads"]
