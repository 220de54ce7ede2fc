"""Servers and clients as forks of this process: real processes, without the second that Python takes to begin.

This process has no threads, so that a fork is safe; and it is started under the fault library, so that they are too.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from oncekv import cli
from oncekv.server.http.models import event_loop  # noqa: F401 what a child needs is loaded before it is forked
from oncekv.server.process import serve, writer  # noqa: F401 likewise

__all__ = ["Forked", "Server"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
READY_MAX_S = 60.0


class Forked:
    """A child in a process group of its own; `work` gives its exit code, and what it prints is read here."""

    def __init__(self, work: Callable[[], int], log: Path) -> None:
        self._out, out = os.pipe()
        self.log = log
        self.code: int | None = None
        self.printed = b""
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_live(work, out, log))
        os.close(out)
        with contextlib.suppress(OSError):  # whoever of the two comes first
            os.setpgid(self.pid, self.pid)

    def read(self, until: bytes | None, timeout_s: float) -> bytes:
        """What it has printed, up to these bytes or its end. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while until is None or until not in self.printed:
            if not select.select([self._out], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"{self.log.name}: nothing for {timeout_s:g} s")
            chunk = os.read(self._out, 65536)
            if not chunk:
                break
            self.printed += chunk
        return self.printed

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code (negative: a signal); None while it runs after that time."""
        deadline = time.monotonic() + timeout_s
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return None
            else:
                time.sleep(0.002)
        return self.code

    def signal(self, number: signal.Signals) -> None:
        """To its whole group, the writer's process included; harmless when that is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """SIGKILL, and wait for its end."""
        self.signal(signal.SIGKILL)
        self.wait(30.0)
        os.close(self._out)


class Server(Forked):
    """`oncekv serve` on one store; `url` is empty when it refused to start."""

    def __init__(
        self, store: Path, log: Path, words: tuple[str, ...] = (), spoilt: AbstractContextManager[object] | None = None
    ) -> None:
        """`spoilt`: what is put into the child before it serves."""
        args = ["serve", "--listen", "127.0.0.1:0", "--store", f"sqlite:///{store}", *words]

        def work() -> int:
            with spoilt or nullcontext():
                return cli.main(args)

        super().__init__(work, log)
        line = self.read(b"\n", READY_MAX_S)
        self.url = json.loads(line)["url"] if line else ""


def _live(work: Callable[[], int], out: int, log: Path) -> int:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)
    os.dup2(out, 1)
    err = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(err, 2)
    faulthandler.register(signal.SIGUSR1)  # a hang is a finding, and its stacks tell
    try:
        return work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
