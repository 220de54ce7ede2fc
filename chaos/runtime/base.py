"""What a runtime offers a scenario: servers to start and to break, and links to them.

A scenario is written against this page alone, so that it runs unchanged on processes and on containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chaos.runtime.clock import ServerClock
from chaos.runtime.links import Link

if TYPE_CHECKING:
    from chaos.runtime.linked_store import LinkedStore

__all__ = [
    "ASYNC_STANDBY",
    "LINKED",
    "MODELS",
    "OWN",
    "STANDBY",
    "Runtime",
    "Server",
    "ServerError",
    "Serving",
]

MODELS = ("event-loop", "threads")
"""What `oncekv serve --model` takes; the first is the default."""

LINKED, OWN, STANDBY, ASYNC_STANDBY = "linked", "own", "standby", "async-standby"
"""What store a scenario needs: one behind links; its engine the cell's own besides; with a standby besides, which each
commit waits for, or none.
"""


class ServerError(RuntimeError):
    """The server died, or did not, or was late; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Serving:
    """How a run's servers serve: what an operator chooses, and what may change no promise."""

    model: str = MODELS[0]
    workers: int = 1
    service: str = "kv"
    """Which of `chaos.services` they are."""
    database: str = ""
    """Of a service that has a choice."""
    store: str = "sqlite"
    """Of the key/value service: a file of each server's own, or one of `chaos.runtime.stores`."""

    @property
    def is_shared(self) -> bool:
        """Whether servers of one cell share a store, so that what one of them loses is not lost."""
        return self.store != Serving.store

    @property
    def options(self) -> list[str]:
        """What is not the default, for `oncekv serve`."""
        model = ["--model", self.model] if self.model != Serving.model else []
        return [*model, *(["--workers", str(self.workers)] if self.workers > 1 else [])]

    @property
    def words(self) -> list[str]:
        """What is not the default, for a command of ours."""
        service = ["--service", self.service] if self.service != Serving.service else []
        service += ["--store", self.store] if self.is_shared else []
        return [*service, *(["--database", self.database] if self.database else []), *self.options]


class Server(Protocol):
    """One server that keeps its data and its address over its lives.

    `url` is its own address, past all links: for observing and for arming failpoints, never for the workload.
    """

    clock: ServerClock | None
    """The clock that was asked for."""
    store: str
    """The URL of what it keeps its data in, as it has it itself."""

    @property
    def url(self) -> str: ...
    @property
    def returncode(self) -> int | None:
        """The exit code of its last life (negative: the signal), None while it lives."""
        ...

    @property
    def crashes(self) -> int:
        """How many processes of its present life were ended by a signal that they sent themselves."""
        ...

    def restart(self) -> object:
        """Start again on the same data; waits until it is ready."""
        ...

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        ...

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def lose_data(self) -> None:
        """What a lost disk leaves: nothing. The server must be dead."""
        ...

    def disconnect(self) -> None:
        """Take it off its network: not the links break but the ground below them. Not every runtime can."""
        ...

    def connect(self) -> None: ...
    def release(self) -> None:
        """End it, whatever state it is in; nobody needs it any more."""
        ...

    def wait_dead(self, timeout_s: float) -> int:
        """Wait for it to end by itself; its exit code."""
        ...


class Runtime(Protocol):
    """Where servers and links run."""

    name: str
    cells_at_once: int
    """How many cells may run beside each other."""
    serving: Serving

    @property
    def here(self) -> str:
        """The address on which something must listen on this machine for links to lead to it."""
        ...

    def server(
        self,
        folder: Path,
        delivery: str,
        *,
        own_clock: bool = False,
        beside: Server | None = None,
        store: LinkedStore | None = None,
    ) -> Server:
        """A started server with failpoints, its data in `folder`; on a clock of its own that can be set, if wanted.

        beside: it shares that one's store. store: its own, where the cell has made one. Not every runtime can.
        """
        ...

    def store(self, name: str, kind: str) -> LinkedStore:
        """An empty store of that kind, over links that begin with that name. Not every runtime can."""
        ...

    def link(self, name: str, server: Server) -> Link:
        """A healthy link to the server."""
        ...

    def link_here(self, name: str, port: int) -> Link:
        """A healthy link to what listens on this machine at `here`, such as a message proxy."""
        ...

    def close(self) -> None:
        """Leave nothing running."""
        ...
