"""Servers that are forked from a process which has imported what a server needs: a start takes a third of the
processor time, and the tests start a few thousand.

What runs is all of `oncekv serve`, from its words on, in a process of its own with its own group, pipes and death
signal; left out are exec and the imports that no environment changes (prometheus_client reads its own, so it is
imported by each server). A command other than `oncekv`, and an environment of the server's own, go by exec as ever
(`chaos.runtime.local_server.spawn`), and so do tests that are about the process itself (the fixture `by_exec`), what
runs as a command of its own (`python -m chaos`), and everything outside of the tests.

Limits: what Python and libraries read when a process begins (PYTHON*, LD_*, the locale), rlimits, umask and affinity
are those of the first start; all of these servers share one hash seed; and a module that the product forgot to import
may be there already.

    pytest ── words, environment, stdout, stderr, a pipe ──► this module as a process ── fork ──► server
           ◄──────────── its pid, and how it ended, on the pipe ─────────────┘
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from chaos.runtime.local_server import die_with, oncekv_command, spawn

__all__ = ["ForkedProcess", "spawn_preloaded"]

IMPORTED = (
    "oncekv.server.process.serve", "oncekv.server.command", "oncerpc.wire.fingerprint", "oncerpc.wire.jsonrpc",
    "flask", "asyncio", "http.server", "wsgiref.simple_server", "uuid", "sqlite3", "queue",
)  # fmt: skip
_PR_SET_NAME = 15
REQUEST_BYTES_MAX = 128 * 1024
FORK_MAX_S = 60.0
LOOK_S = 0.002


class ForkedProcess:
    """What `LocalServer` asks of a `subprocess.Popen`, of a process that is another one's child."""

    def __init__(self, pid: int, stdout: int, ended: int) -> None:
        self.pid = pid
        self.stdout = os.fdopen(stdout, "rb")
        self.returncode: int | None = None
        self._ended = os.fdopen(ended, "rb", buffering=0)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code (negative: the signal), None while it runs."""
        with self._lock:
            if self.returncode is None and _has_input(self._ended.fileno(), 0):
                self.returncode = int(self._ended.readline() or b"-9")  # nobody there to say: it died with him
                self._ended.close()
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired."""
        deadline_s = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline_s:
                raise subprocess.TimeoutExpired("oncekv serve", timeout or 0.0)
            time.sleep(LOOK_S)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing, where it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def spawn_preloaded(words: list[str], stderr: int, environment: Mapping[str, str]) -> Any:
    """As `local_server.spawn`, to which is left what cannot be done here. Raises OSError."""
    command = oncekv_command()
    request = {"words": ["oncekv", *words[len(command) :]], "environment": dict(os.environ), "folder": os.getcwd()}
    message = json.dumps(request).encode()
    if environment or words[: len(command)] != command or len(message) > REQUEST_BYTES_MAX:
        return spawn(words, stderr, environment)
    stdout_r, stdout_w = os.pipe()
    ended_r, ended_w = os.pipe()
    try:
        with contextlib.ExitStack() as theirs:
            theirs.callback(os.close, stdout_w)
            theirs.callback(os.close, ended_w)
            socket.send_fds(_channel(), [message], [stdout_w, stderr, ended_w])
        pid = _read_pid(ended_r)
    except BaseException:
        os.close(stdout_r)
        os.close(ended_r)
        raise
    return ForkedProcess(pid, stdout_r, ended_r)


def _read_pid(pipe: int) -> int:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(pipe, 1) if _has_input(pipe, FORK_MAX_S) else b""
        if not byte:
            raise OSError("the process from which servers are forked has ended, or is stuck")
        line += byte
    return int(line)


def _has_input(pipe: int, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))


_starting = threading.Lock()
_forker: tuple[subprocess.Popen[bytes], socket.socket] | None = None
"""The process that forks and the channel to it; it ends when this one does."""


def _channel() -> socket.socket:
    """The channel to the process that forks, which is started when the first server is."""
    global _forker
    with _starting:
        if _forker is None or _forker[0].poll() is not None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * REQUEST_BYTES_MAX)
            with theirs:
                words = [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())]
                passed = [theirs.fileno()]
                environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
                process = subprocess.Popen(
                    words, pass_fds=passed, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0,
                    env=environment,
                )  # fmt: skip
            os.register_at_fork(after_in_child=ours.close)  # else a test's own fork would keep it alive
            _forker = process, ours
        return _forker[1]


def _serve(channel: socket.socket) -> list[str]:
    """Fork for each request until pytest is gone; in a child its words come back."""
    running: dict[int, tuple[int, int]] = {}
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor != channel.fileno():
                poller.unregister(descriptor)
                _tell_end(descriptor, *running.pop(descriptor))
                continue
            data, passed, _flags, _address = socket.recv_fds(channel, REQUEST_BYTES_MAX, 3)
            if not data:
                os._exit(0)
            request = json.loads(data)
            pid = _fork(request, *passed)
            if pid == 0:
                return list(request["words"])
            pidfd = os.pidfd_open(pid)
            running[pidfd] = (pid, passed[2])
            poller.register(pidfd, select.POLLIN)
            _tell(passed[2], pid)


def _fork(request: Mapping[str, Any], stdout: int, stderr: int, _ended: int) -> int:
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        _become(request, parent, stdout, stderr)
        return 0
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(pid, pid)  # both do: whoever is first
    os.close(stdout)
    os.close(stderr)
    return pid


def _tell_end(pidfd: int, pid: int, ended: int) -> None:
    _tell(ended, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os.close(pidfd)
    os.close(ended)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(pipe, b"%d\n" % number)


def _become(request: Mapping[str, Any], parent: int, stdout: int, stderr: int) -> None:
    """A process as `spawn` would have made it; all descriptors but its three are closed."""
    die_with(parent, signal.SIGKILL)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"oncekv")
    os.setpgid(0, 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)  # as for files that are what they are here
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])


def main() -> None:
    """Import, then fork whoever is asked for, until the other end of the channel is closed, by a death for example."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED:
        importlib.import_module(name)
    assert "prometheus_client" not in sys.modules, "it reads the environment of the process that imports it"
    sys.argv = _serve(channel)
    channel.detach()
    from oncekv.cli import main as oncekv

    sys.exit(oncekv())


if __name__ == "__main__":
    main()
