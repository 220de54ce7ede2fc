"""Several processes: forked before any thread runs, and they live and die together.

One that dies takes the whole server with it, since half a server hides a crash; and those whose supervisor is
gone, however it went, end at once. The supervisor only watches (`supervise`), or works itself (`Companion`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from oncekv.console import announce
from oncekv.server.config import StartupError
from oncerpc.server.log import log

__all__ = ["Companion", "supervise"]

PR_SET_PDEATHSIG = 1

Work = Callable[[Callable[[], object]], int]
"""A worker's whole life: it is handed what to call when it is ready, and gives its exit code."""


def supervise(works: Sequence[Work], ready: str, theirs: Iterable[socket.socket]) -> int:
    """Fork a process for each, print `ready` when all are, and wait for their end; the exit code.

    theirs: what belongs to the children alone, and is closed here.
    """
    ready_r, ready_w = os.pipe()
    children = _fork(works, ready_w)
    os.close(ready_w)
    for end in theirs:
        end.close()
    stopping = threading.Event()

    def stop(_signal: int, _frame: Any) -> None:
        stopping.set()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the configuration is read once
    # In the background, so that a worker that dies before it is ready is seen to die.
    telling = (len(works), ready, ready_r, stopping)
    threading.Thread(target=_announce, args=telling, name="announce", daemon=True).start()
    return _reap(children, stopping)


class Companion:
    """One process beside this one, which goes on, and whose pid stands for both.

    If the companion dies first, this one dies the same death; an end with 0 is none.
    """

    def __init__(self, work: Work) -> None:
        self._ready_r, ready_w = os.pipe()
        (child,) = _fork([work], ready_w)
        os.close(ready_w)
        threading.Thread(target=self._watch, args=(child,), name="companion", daemon=True).start()

    def is_ready(self) -> bool:
        """Waits until it is; False where it died before."""
        return bool(os.read(self._ready_r, 1))

    def _watch(self, child: int) -> None:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            log.error("process %d ended with %d; the server ends with it", child, code)
            _die_like(code)


def _fork(works: Sequence[Work], ready_w: int) -> set[int]:
    alive_r, alive_w = os.pipe()  # only the supervisor holds the end to write: when it is gone, reading ends
    children = set()
    for work in works:
        child = os.fork()
        if child == 0:
            if sys.platform == "linux":  # at once, also while it is stopped; elsewhere as soon as `_end_with` sees it
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.close(alive_w)
            threading.Thread(target=_end_with, args=(alive_r,), name="follow", daemon=True).start()
            os._exit(_live(work, ready_w))
        children.add(child)
    return children


def _live(work: Work, ready_w: int) -> int:
    """A worker's exit code. Nothing may unwind further: what stands above belongs to the supervisor."""
    try:
        return work(lambda: os.write(ready_w, b"."))
    except KeyboardInterrupt:
        return 0
    except StartupError as error:
        log.critical("a worker cannot start: %s", error)
        return 1
    except BaseException:
        log.critical("a worker failed", exc_info=True)
        return 1


def _end_with(alive_r: int) -> None:
    os.read(alive_r, 1)
    os._exit(1)


def _announce(count: int, ready: str, ready_r: int, stopping: threading.Event) -> None:
    announced = 0
    while announced < count and os.read(ready_r, 1):
        announced += 1
    if announced == count and not stopping.is_set():
        announce("oncekv serve", ready)


def _reap(children: set[int], stopping: threading.Event) -> int:
    worst = 0
    while children:
        child, status = os.wait()
        children.discard(child)
        code = os.waitstatus_to_exitcode(status)
        if not stopping.is_set():
            log.error("process %d ended with %d; the server ends with it", child, code)
            for other in children:
                os.kill(other, signal.SIGKILL)
            if code < 0:
                _die_like(code)
            return code or 1
        worst = worst or (code if code != -signal.SIGTERM else 0)  # it had not yet begun to serve
    return worst


def _die_like(code: int) -> NoReturn:
    """By the same signal, or with the same exit code."""
    if code < 0:
        os.kill(os.getpid(), -code)
        os._exit(128 - code)  # the first process of a container is deaf to its own signals
    os._exit(code)
