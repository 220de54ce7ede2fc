"""Failpoints: planned failures at the three moments that matter for a call, only with `--failpoints`.

    before_execute   admitted, nothing done          crash   SIGKILL to the server itself
    after_execute    effect done, not committed      sleep   take MS milliseconds longer
    after_commit     committed, reply not sent       drop    close the connection without a reply
                                                     error   answer internal_error

Before the commit, drop and error undo the call. What is armed and how often it fired stands in an unnamed file that all
workers share, so one armed `count: 1` fires once in the whole server, and is gone with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from typing import IO, Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from oncerpc.server.log import log
from oncerpc.wire.errors import InternalError, InvalidParams

__all__ = ["Arming", "Dropped", "Failpoints", "Match"]

Name = Literal["before_execute", "after_execute", "after_commit"]
SLEEP_MAX_MS = 600_000
_ACTION = re.compile(r"crash|drop|error|sleep:([0-9]{1,9})")


class Dropped(Exception):
    """The connection is to be closed without a reply."""


class Match(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls an armed failpoint waits for; what is left out matches all."""

    method: str | None = None
    key: str | None = None


class Arming(Struct, forbid_unknown_fields=True):
    """One armed failpoint. `count` 0 disarms. Arming the same name and match again replaces the former."""

    name: Name
    action: str
    count: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    match: Match = Match()


class _State(Struct):
    armed: list[Arming]
    fired: dict[str, int]


class Failpoints:
    """What is armed, shared by the threads and the forked workers of one server."""

    def __init__(self, path: str = "") -> None:
        """`path`: a file that processes share which were not forked from one."""
        # Lives as long as the server; one without a name is gone with it.
        self._file: IO[bytes] = open(path, "a+b") if path else tempfile.TemporaryFile()  # noqa: SIM115
        self._lock = threading.Lock()
        self._clear()

    def hit_any(self, name: str, method: str, keys: Iterable[str]) -> None:
        """The same as `hit`, for who knows the name as text."""
        self.hit(cast("Name", name), method, tuple(keys))

    def _clear(self) -> None:
        names = Name.__args__  # type: ignore[attr-defined]  # Literal's members have no typed access
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            self._file.seek(0, os.SEEK_END)
            if not self._file.tell():
                self._save(_State([], dict.fromkeys(names, 0)))
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def arm(self, arming: Arming) -> None:
        """Raises InvalidParams for an action that is none."""
        found = _ACTION.fullmatch(arming.action)
        if not found or int(found[1] or 0) > SLEEP_MAX_MS:
            raise InvalidParams(
                f"action must be crash, drop, error or sleep:MS up to {SLEEP_MAX_MS}", path="$.params.action"
            )
        with self._shared() as state:
            same = (arming.name, arming.match)
            state.armed = [other for other in state.armed if (other.name, other.match) != same]
            if arming.count:
                state.armed.append(arming)

    def fired(self) -> dict[str, int]:
        """How often each failpoint has fired since the server started."""
        with self._shared() as state:
            return state.fired

    def hit(self, name: Name, method: str, keys: Collection[str]) -> None:
        """A call passes here. May not return, or raise Dropped or InternalError."""
        action = self._take(name, method, keys)
        if action == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
            os._exit(128 + signal.SIGKILL)  # the first process of a container is deaf to its own signals
        elif action == "drop":
            raise Dropped(name)
        elif action == "error":
            log.warning("failpoint %s answers %s with internal_error", name, method)
            raise InternalError()
        elif action:
            time.sleep(int(action.partition(":")[2]) / 1000)

    def _take(self, name: Name, method: str, keys: Collection[str]) -> str | None:
        with self._shared() as state:
            for arming in state.armed:
                match = arming.match
                fits = match.method in (None, method) and (match.key is None or match.key in keys)
                if arming.name == name and fits:
                    arming.count -= 1
                    state.armed = [other for other in state.armed if other.count]
                    state.fired[name] += 1
                    return arming.action
        return None

    @contextlib.contextmanager
    def _shared(self) -> Iterator[_State]:
        # Two locks: POSIX record locks hold between processes, and do nothing between threads.
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                self._file.seek(0)
                state = msgspec.json.decode(self._file.read(), type=_State)
                yield state
                self._save(state)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _save(self, state: Any) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(msgspec.json.encode(state))
        self._file.flush()
