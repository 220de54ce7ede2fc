"""Calls on their way through the server, and where they become durable."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from oncerpc.server.dedup.base import KEY_KEPT_MS, IdempotencyKey
from oncerpc.server.rpc.method import Method
from oncerpc.wire.errors import Expired, Refused, RpcError
from oncerpc.wire.fingerprint import fingerprint
from oncerpc.wire.identity import CallMeta
from oncerpc.wire.jsonrpc import Reply, failure, success

__all__ = ["BaseCommitter", "Call", "Submission", "Watch"]

Watch = Callable[[socket.socket, Callable[[], object]], object]
"""Calls back, on its own thread, whenever the socket has something to read."""


class Call:
    """One attempt of a call on its way through the server, and what became of it."""

    __slots__ = (
        "_fingerprint",
        "changes_store",
        "deadline_s",
        "dropped",
        "key",
        "meta",
        "method",
        "params",
        "ran",
        "refusal",
        "replayed",
        "reply",
    )

    def __init__(self, method: Method, meta: CallMeta, fingerprint: bytes = b"") -> None:
        self.method = method
        self.params: Any = None
        self.meta = meta
        self.key: IdempotencyKey | None = None
        self.deadline_s: float | None = None
        self.changes_store = False
        """Whether it runs in the committer; a read comes there only for what its metadata asks of the session."""
        self.reply: Reply | None = None
        self.replayed = self.ran = self.dropped = False
        self.refusal: str | None = None
        self._fingerprint = fingerprint

    @property
    def key_kept_ms(self) -> int:
        """How long the record under its Idempotency-Key is kept."""
        return KEY_KEPT_MS

    @property
    def fingerprint(self) -> bytes:
        """What tells a retry of this call from another call."""
        self._fingerprint = self._fingerprint or fingerprint(self.method.name, self.params)
        return self._fingerprint

    def succeed(self, result: Any) -> None:
        """Answered with a result."""
        self.reply = success(result)

    def fail(self, error: RpcError) -> None:
        """Answered with an error that is not recorded."""
        self.ran = self.replayed = False
        self.refusal = error.name if isinstance(error, Refused) else None
        self.reply = failure(error)

    def begin_again(self) -> None:
        """What became of it was rolled back; only a connection that is to be closed without a reply stays so."""
        self.reply = self.refusal = None
        self.ran = self.replayed = False

    def check_deadline(self, now_s: float) -> None:
        """Raises Expired when the client no longer waits."""
        if self.deadline_s is not None and now_s >= self.deadline_s:
            raise Expired()


class Submission(NamedTuple):
    """The calls of one request that wait together. `size`: bytes they hold.

    `done` is called when all are committed, by the writer's thread, or at once where none is admitted. It must not wait
    and not raise: all others wait behind it.
    """

    calls: Sequence[Call]
    size: int
    done: Callable[[], object]


class BaseCommitter(ABC):
    """Where calls run and become durable: the committer of this process, or that of the writer's process."""

    @abstractmethod
    def start(self) -> None:
        """Begin; nothing may be submitted before."""

    @abstractmethod
    def listen(self, watch: Watch | None) -> None:
        """Take in answers that come from another process: when `watch` says that there are some, else on a thread."""

    @abstractmethod
    def stop(self) -> None:
        """Answer all that waits, then end."""

    @abstractmethod
    def submit(self, requests: Iterable[Submission]) -> None:
        """Run the calls of each request in order, and call its `done` when all are durable, or answered otherwise.

        Requests that come together are let in together.
        """

    def run(self, calls: Sequence[Call], size: int) -> None:
        """The same for one request, and wait. `size`: bytes its calls hold."""
        done = threading.Lock()
        done.acquire()
        self.submit([Submission(calls, size, done.release)])
        done.acquire()
