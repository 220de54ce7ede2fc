"""Servers that are forked from a process which has imported what a server needs: a start takes a quarter of the
processor time, and the tests start a few thousand.

What runs is all of `oncekv serve`, from its words on, in a process of its own with its own group, pipes and death
signal; left out are exec and the imports that no environment changes (prometheus_client reads its own, so it is
imported by each server). A command other than `oncekv`, and an environment of the server's own, go by exec as ever
(`chaos.runtime.local_server.spawn`), and so do tests that are about the process itself (the fixture `by_exec`), what
runs as a command of its own (`python -m chaos`), and everything outside of the tests.

    pytest ── words, environment, stdout, stderr, a pipe ──► this module as a process ── fork ──► server
           ◄──────────── its pid, and how it ended, on the pipe ─────────────┘
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from chaos.runtime.local_server import oncekv_command, spawn

__all__ = ["ForkedProcess", "spawn_preloaded"]

IMPORTED = (
    "oncekv.server.process.serve", "oncekv.server.command", "oncerpc.wire.fingerprint", "oncerpc.wire.jsonrpc",
    "flask", "asyncio", "http.server", "wsgiref.simple_server", "uuid", "sqlite3", "queue",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_REQUEST_BYTES_MAX = 256 * 1024


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
        return self._wait(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("oncekv serve", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing, where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _wait(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None:
                poller = select.poll()
                poller.register(self._ended, select.POLLIN)
                if poller.poll(None if timeout is None else timeout * 1000):
                    self.returncode = int(self._ended.readline() or b"-9")  # nobody there to say: it died with him
                    self._ended.close()
            return self.returncode


def spawn_preloaded(words: list[str], stderr: int, environment: Mapping[str, str]) -> Any:
    """As `local_server.spawn`, which takes over what only exec can do."""
    command = oncekv_command()
    if environment or words[: len(command)] != command:
        return spawn(words, stderr, environment)
    stdout_r, stdout_w = os.pipe()
    ended_r, ended_w = os.pipe()
    try:
        request = {"words": words, "environment": dict(os.environ), "folder": os.getcwd()}
        socket.send_fds(_channel(), [json.dumps(request).encode()], [stdout_w, stderr, ended_w])
    finally:
        os.close(stdout_w)
        os.close(ended_w)
    pid = b""
    while not pid.endswith(b"\n"):
        pid += os.read(ended_r, 1) or b"0\n"
    if not int(pid):
        raise OSError("the process from which servers are forked has ended")
    return ForkedProcess(int(pid), stdout_r, ended_r)


_starting = threading.Lock()
_forker: tuple[subprocess.Popen[bytes], socket.socket] | None = None
"""The process that forks and the channel to it; it ends when this one does."""


def _channel() -> socket.socket:
    """The channel to the process that forks, which is started when the first server is."""
    global _forker
    with _starting:
        if _forker is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST_BYTES_MAX)
            with theirs:
                words = [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())]
                passed = [theirs.fileno()]
                process = subprocess.Popen(
                    words, pass_fds=passed, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
                )
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
                pid, ended = running.pop(descriptor)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(ended, code)
                os.close(descriptor)
                os.close(ended)
                continue
            data, passed, _flags, _address = socket.recv_fds(channel, _REQUEST_BYTES_MAX, 3)
            if not data:
                os._exit(0)
            request = json.loads(data)
            pid = os.fork()
            if pid == 0:
                _become(request, *passed)
                return list(request["words"])
            for one in passed[:2]:
                os.close(one)
            pidfd = os.pidfd_open(pid)
            running[pidfd] = (pid, passed[2])
            poller.register(pidfd, select.POLLIN)
            _tell(passed[2], pid)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(pipe, b"%d\n" % number)


def _become(request: Mapping[str, Any], stdout: int, stderr: int, _ended: int) -> None:
    """A process as `spawn` would have made it; all descriptors but its three are closed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
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
    gc.freeze()
    sys.argv = _serve(channel)
    channel.detach()
    from oncekv.cli import main as oncekv

    sys.exit(oncekv())


if __name__ == "__main__":
    main()
