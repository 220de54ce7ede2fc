"""A server as a local process: start it, stop it, kill it, pause it, start it again on the same data.

Place: under every scenario of the local runtime and under every contract test. It knows the server by its command
line alone (docs/protocol.md, "Commands"): what it starts is `oncekv serve`, and what it reads is the one ready line.

Guarantee: whatever happens to this process, no server outlives it; after the `with` block not even a worker is left.
Limit: Linux only (`/proc`, PR_SET_PDEATHSIG), and a worker that the server forks is covered by the death signal only
if the server sees to it; `kill()` and the `with` block reach the whole process group.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from chaos.runtime.base import ServerError
from chaos.runtime.clock import ServerClock
from chaos.runtime.ports import KeptPort

__all__ = ["LocalServer", "ServerError", "die_with", "oncekv_command", "spawn", "sqlite_url"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here, because between fork and exec nothing may be loaded
# The death signal comes when the *thread* that forked ends. A nemesis thread that restarts a server and then ends
# would take the server with it; so one thread, which lives as long as this process, forks them all.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def oncekv_command() -> list[str]:
    """The words that start `oncekv`: the script beside this interpreter, else the module."""
    script = Path(sys.executable).parent / "oncekv"
    return [str(script)] if script.exists() else [sys.executable, "-m", "oncekv.cli"]


def sqlite_url(file: Path) -> str:
    """The URL of a store in that file, whatever its name: what means something in a URL, such as `%`, is quoted."""
    return f"sqlite:///{quote(os.fsencode(file))}"


class LocalServer:
    """One `oncekv serve` on one data directory; at most one process at a time, any number one after another.

    Where no port is given, one is drawn and kept for all its starts (`ports`), so that links to it stay valid, until
    `release` or the end of the `with` block. `name` tells servers on one directory apart; the log, `DIR-NAME.log`,
    stands beside the directory. `command`: other words than `oncekv` before `serve`.
    """

    def __init__(
        self, data_dir: Path, *, delivery: str = "persisted", workers: int = 1, failpoints: bool = False,
        extra_args: Sequence[str] = (), port: int = 0, name: str = "server", start_timeout_s: float = 20.0,
        command: Sequence[str] = (), clock: ServerClock | None = None, store: str = "",
    ) -> None:  # fmt: skip
        self.data_dir = data_dir.absolute()
        self.store = store or sqlite_url(self.data_dir / "kv.db")
        self.log = self.data_dir.parent / f"{self.data_dir.name}-{name}.log"
        self.port = port
        self._kept_port: KeptPort | None = None
        self.url, self.pid, self.boot = "", 0, 0
        self.stdout = b""
        """All that the present or last process wrote to stdout; complete when it has ended."""
        self.clock = clock
        self._command = [*(command or oncekv_command()), "serve"]
        self._options = ["--delivery", delivery, "--workers", str(workers), *extra_args]
        self._options += ["--failpoints"] if failpoints else []
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def spawn(words: list[str], stderr: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """The process of a start. A seam: tests put a faster way in its place."""
        return spawn(words, stderr, environment)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *_error: object) -> None:
        self.release()

    @property
    def running(self) -> bool:
        """Whether the process that `start()` made has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit code of the last process (negative: the signal), None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    @property
    def crashes(self) -> int:
        """Whether its present life was ended by a signal."""
        return int((self.returncode or 0) < 0)

    def start(self) -> Self:
        """Start and wait until it is ready. Raises ServerError, and leaves nothing behind, when it does not come."""
        assert not self.running, "the server runs already"
        self.kill()  # bury the one before: workers that outlived it would hold the port
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not self.port:
            self._kept_port = KeptPort()
            self.port = self._kept_port.number
        self.stdout = b""
        with self.log.open("ab") as log:
            self._process = self.spawn(self.words(), log.fileno(), self.environment())
        try:
            self._wait_ready(self._process)
        except BaseException:
            self.kill()
            raise
        return self

    def words(self) -> list[str]:
        """The command of its next start."""
        where = ["--listen", f"127.0.0.1:{self.port}", "--store", self.store]
        return [*self._command, *where, *self._options]

    def environment(self) -> dict[str, str]:
        """What that start has besides our own environment."""
        return self.clock.environment() if self.clock else {}

    def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM, as an operator sends it, and the exit code. Raises ServerError when it does not end in time."""
        assert self._process is not None, "the server was never started"
        self._process.send_signal(signal.SIGTERM)
        return self.wait_dead(timeout_s)

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait until the last of it is gone; harmless when nothing runs."""
        if self._process is None:
            return
        deadline = time.monotonic() + 10.0
        # A look through all processes is dear; most often nobody is left whom a signal could reach.
        while self._process.poll() is None or (self._signal(signal.SIGKILL) and self.members()):
            if time.monotonic() > deadline:
                raise ServerError(f"process group {self._process.pid} outlived SIGKILL by 10 s")
            self._signal(signal.SIGKILL)
            time.sleep(0.005)
        self._drain_stdout()

    def restart(self) -> Self:
        """Start again on the same data and port; a server that still runs gets SIGTERM first."""
        if self.running:
            self.stop()
        return self.start()

    def pause(self) -> None:
        """SIGSTOP to the whole group: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to the whole group."""
        self._signal(signal.SIGCONT)

    def release(self) -> None:
        """SIGKILL, and its port is anybody's."""
        self.kill()
        if self._kept_port:
            self._kept_port.release()

    def lose_data(self) -> None:
        """What a lost disk leaves: nothing."""
        assert not self.running, "a running server holds its data"
        shutil.rmtree(self.data_dir)

    def disconnect(self) -> None:
        """Local processes share the loopback."""
        raise ServerError("a local server cannot be taken off its network; use --runtime compose")

    connect = disconnect

    def wait_dead(self, timeout_s: float = 10.0) -> int:
        """Wait for the process to end by itself (a `crash` failpoint, say); its exit code. Late: ServerError."""
        assert self._process is not None, "the server was never started"
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ServerError(f"the server still runs after {timeout_s:g} s\n{self.log_tail()}") from None
        self._drain_stdout()
        return code

    def members(self) -> list[int]:
        """The pids of the server's process group that are alive (a zombie is not)."""
        group = 0 if self._process is None else self._process.pid
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _lives_in(pid, group)]

    def log_tail(self, bytes_max: int = 2000) -> str:
        """The end of the server's log, all its starts included."""
        return self.log.read_bytes()[-bytes_max:].decode(errors="replace") if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> bool:
        """To the whole group; whether anybody was left to get it, a zombie included."""
        assert self._process is not None, "the server was never started"
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:  # the last of the group has ended
            return False
        return True

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Raises ServerError when it is not, in time."""
        ready = self._read_ready_line(process)
        self.url, self.pid, self.boot = ready["url"], ready["pid"], ready["boot"]

    def _read_ready_line(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        deadline = time.monotonic() + self._start_timeout_s
        poller = select.poll()
        poller.register(process.stdout, select.POLLIN)
        while b"\n" not in self.stdout:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise ServerError(f"no ready line within {self._start_timeout_s:g} s\n{self.log_tail()}")
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise ServerError(f"the server ended before its ready line\n{self.log_tail()}")
            self.stdout += chunk
        ready: dict[str, Any] = json.loads(self.stdout.split(b"\n")[0])
        return ready

    def _drain_stdout(self) -> None:
        stream = None if self._process is None else self._process.stdout
        if stream is None or stream.closed:
            return
        os.set_blocking(stream.fileno(), False)  # a worker may still hold the other end open
        self.stdout += stream.read() or b""
        stream.close()


def spawn(
    words: list[str], stderr: int, environment: Mapping[str, str], user: str | None = None,
    death: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """A process in a group of its own, which dies with us, by that signal."""
    return _SPAWNER.submit(_spawn, words, stderr, environment, user, death).result()


def _spawn(
    words: list[str], stderr: int, environment: Mapping[str, str], user: str | None, death: signal.Signals
) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    # Between fork and exec run two system calls alone, nothing that could wait for another thread's lock.
    return subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, **environment},
        process_group=0, preexec_fn=lambda: die_with(parent, death),
        user=user, group=user, extra_groups=None if user is None else [],
    )  # fmt: skip


def die_with(parent: int, death: signal.Signals) -> None:
    """In a child, just forked: it ends by that signal when its parent does."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, death)
    if os.getppid() != parent:  # it died between the fork and the line above
        os._exit(1)


def _lives_in(pid: str, group: int) -> bool:
    try:
        state, _parent, its_group = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:  # it ended while we looked
        return False
    return int(its_group) == group and state not in "ZX"
