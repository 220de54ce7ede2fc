"""The bank as a local process: gunicorn with two processes of it, on one database, killed and started like any server.

When one of the two dies by a failpoint, the other goes on serving, and gunicorn starts a new one in its place, as in
any deployment; `crashes` counts them. `kill` ends both and gunicorn.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.runtime.base import ServerError
from chaos.runtime.local_server import LocalServer, sqlite_url

__all__ = ["APPLICATION", "PROCESSES", "BankServer"]

APPLICATION = "bank.app:app"
PROCESSES, THREADS = 2, 8
POLL_S = 0.02
ROOT = Path(__file__).resolve().parents[2]
_CRASHED = b"was sent SIGKILL"  # as gunicorn says it of a process of its own


class BankServer(LocalServer):
    """`gunicorn -w 2 bank.app:app`. database: as BANK_DATABASE; empty: a file of SQLite in the data directory.

    threads: of each process; with none a process has one request at a time, and a second one goes to the other.
    """

    def __init__(
        self, data_dir: Path, *, database: str = "", application: Sequence[str] = (), threads: int = THREADS
    ) -> None:
        super().__init__(data_dir, failpoints=True, start_timeout_s=60.0)
        self._database = database or sqlite_url(self.data_dir / "bank.db")
        self._application = list(application) or [APPLICATION]
        self._threads = ["--worker-class", "gthread", "--threads", str(threads)] if threads else []
        self._counters = self.data_dir / "counters"
        self._failpoints = self.data_dir / "failpoints"

    @property
    def crashes(self) -> int:
        return self.log.read_bytes().count(_CRASHED)

    def start(self) -> BankServer:
        """Failpoints and counters are those of one life."""
        shutil.rmtree(self._counters, ignore_errors=True)
        self._counters.mkdir(parents=True)
        self._failpoints.unlink(missing_ok=True)
        super().start()
        return self

    def words(self) -> list[str]:
        serving = ["--workers", str(PROCESSES), *self._threads]
        where = ["--bind", f"127.0.0.1:{self.port}", "--graceful-timeout", "5", "--no-control-socket"]
        return [sys.executable, "-m", "gunicorn", *serving, *where, "--chdir", str(ROOT), *self._application]

    def environment(self) -> dict[str, str]:
        return {
            "BANK_DATABASE": self._database,
            "ONCERPC_FAILPOINTS": str(self._failpoints),
            "PROMETHEUS_MULTIPROC_DIR": str(self._counters),
        }

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Until one answers and both have loaded the application."""
        self.url, self.pid = f"http://127.0.0.1:{self.port}", process.pid
        end_s = time.monotonic() + self._start_timeout_s
        while (info := self._info()) is None or self.loaded() < PROCESSES:
            if process.poll() is not None:
                raise ServerError(f"the bank ended ({process.poll()}) before it was ready\n{self.log_tail()}")
            if time.monotonic() > end_s:
                raise ServerError(f"the bank is not ready after {self._start_timeout_s:g} s\n{self.log_tail()}")
            time.sleep(POLL_S)
        self.boot = info

    def loaded(self) -> int:
        """How many processes have loaded the application: it has opened the failpoints' file then."""
        return sum(1 for pid in self.members() if _has_open(pid, self._failpoints))

    def _info(self) -> int | None:
        """The boot of one that answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server.info", "params": {}})
            connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
            return int(json.loads(connection.getresponse().read())["result"]["boot"])
        except (OSError, http.client.HTTPException, ValueError, LookupError):
            return None
        finally:
            connection.close()


def _has_open(pid: int, file: Path) -> bool:
    with contextlib.suppress(OSError):  # it ended while we looked
        return any(os.readlink(entry) == str(file) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False
