"""A server process together with a caller, and its failpoints."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.runtime.local import LocalServer, oncekv_command
from tests.support.caller import Caller
from tests.support.replies import Answer
from tests.support.stores import url_of
from tests.support.waiting import until

__all__ = ["MODELS", "WAYS", "Node", "engine_of", "oncekv", "server_on", "words_of"]

MODELS = ("event-loop", "threads")
"""What `oncekv serve --model` takes; the first is the default."""
WAYS = (*MODELS, "event-loop --writer thread", "event-loop on postgresql", "event-loop on etcd")
"""What the contract is tested on, the default first; several workers have tests of their own. A way that names no
engine is served on SQLite.
"""


def words_of(way: str, workers: int = 1) -> list[str]:
    """For `oncekv serve`; several workers have a writer's process in any case."""
    model = way.partition(" on ")[0].split()
    return ["--model", *(model if workers == 1 else model[:1])]


def engine_of(way: str) -> str:
    """One of `stores.ENGINES`."""
    return way.partition(" on ")[2] or "sqlite"


def server_on(way: str, data_dir: Path, words: Sequence[str] = (), **options: Any) -> LocalServer:
    """A server that is not started yet; its store is that of the directory, on the way's engine."""
    server = LocalServer(data_dir, extra_args=[*words_of(way, options.get("workers", 1)), *words], **options)
    server.store = url_of(engine_of(way), server.data_dir)
    return server


@dataclass(frozen=True)
class Node:
    """A server and a caller; the caller stays valid over restarts, because the port stays."""

    server: LocalServer
    kv: Caller

    def arm(self, name: str, action: str, **more: Any) -> None:
        """Arm a failpoint, which must be accepted."""
        answer = self.kv.call("debug.failpoint", name=name, action=action, **more)
        assert answer.error is None, answer.error

    def fired(self, name: str) -> int:
        """How often a failpoint has fired."""
        count = self.kv.ok("debug.failpoints")["failpoints"].get(name, 0)
        assert isinstance(count, int), count
        return count

    def when_fired(self, name: str, since: int) -> None:
        """Wait until a failpoint has fired more often than `since`."""
        until(lambda: self.fired(name) > since, what=f"failpoint {name}")

    def holding(self, name: str, hold_ms: int, key: str, call: Callable[[], Answer]) -> Any:
        """Make a call in the background and return once the failpoint holds it, `hold_ms` long; gives its future."""
        from tests.support.waiting import in_background

        before = self.fired(name)
        self.arm(name, f"sleep:{hold_ms}", match={"key": key})
        future = in_background(call)
        self.when_fired(name, before)
        return future


def oncekv(*words: str | Path, timeout_s: float = 20.0) -> subprocess.CompletedProcess[str]:
    """Run an `oncekv` command that ends by itself; TimeoutExpired (and it is killed) when it does not."""
    command: Sequence[str] = [*oncekv_command(), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
