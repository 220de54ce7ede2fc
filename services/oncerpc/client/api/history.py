"""What clients did and what they were told, in Jepsen's form: an object a line, in real-time order (docs/protocol.md,
"Histories").

    {"index": 0, "time": 512, "process": 3, "type": "invoke", "f": "append", "key": "k", "value": "x", "call": "c3-17"}
    {"index": 1, "time": 931, "process": 3, "type": "ok", "f": "append", …, "version": 1, "offset": 0, "attempts": 1}

An operation whose outcome is unknown (`info`) may take effect at any later time, so its process never ends it: the
worker goes on under a process number of its own that was never used before. Dropping such an operation would hide
exactly the ones that matter.

Place on the way: around the stub (1), where an application would be. Safe for threads: index, time and place in the
file are given under one lock, so the order of the lines is the order in which things happened. Guarantee: a line is
handed to the operating system before `invoke` or a completion returns, so that a crash of the process loses at most
the last one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from oncerpc.client.outcome import Failed, Ok, Outcome

__all__ = ["History", "Operation"]

_encode = msgspec.json.Encoder().encode


class Operation:
    """An invoked operation; exactly one of its four completions must be called once."""

    def __init__(self, history: History, worker: Hashable, process: int, invoked: dict[str, Any]) -> None:
        self._history = history
        self._worker = worker
        self._invoked = invoked
        self.process = process

    def ok(self, value: Any = None, **facts: Any) -> None:
        """It happened; `value` is its result, `facts` such as version, offset and attempts."""
        self._complete("ok", value, facts)

    def fail(self, error: str, **facts: Any) -> None:
        """It surely changed nothing."""
        self._complete("fail", self._invoked["value"], {"error": error, **facts})

    def info(self, error: str, **facts: Any) -> None:
        """Nobody can tell; the worker goes on under a new process number."""
        self._complete("info", self._invoked["value"], {"error": error, **facts})

    def complete(self, outcome: Outcome) -> None:
        """One of the three, as the client's outcome of a `kv.*` call has it."""
        attempts = {"attempts": outcome.attempts[-1].number if outcome.attempts else 0}
        if isinstance(outcome, Ok):
            facts = {name: outcome.result[name] for name in ("version", "offset") if name in outcome.result}
            self.ok(self._result(outcome.result), **facts, **attempts)
        elif isinstance(outcome, Failed):
            self.fail(f"{outcome.error.name}: {outcome.error.message}", **attempts)
        else:
            self.info(outcome.reason, **attempts)

    def _result(self, result: dict[str, Any]) -> Any:
        match self._invoked["f"]:
            case "get" | "increment":
                return result["value"]
            case "delete":
                return result["deleted"]
        return self._invoked["value"]

    def _complete(self, kind: str, value: Any, facts: dict[str, Any]) -> None:
        self._history._complete(self, kind, {**self._invoked, "value": value, **facts})


class History:
    """A history being written. `workers`: so many have the process numbers 0, 1, 2 … from the start."""

    def __init__(
        self, target: str | Path | IO[bytes], workers: int = 0, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """`target` is a path, which must not exist yet, or an open binary file, which stays open on close."""
        self._is_own = isinstance(target, str | Path)
        self._file: IO[bytes] = open(target, "xb", buffering=0) if isinstance(target, str | Path) else target  # noqa: SIM115  (held until close)
        self._clock_ns = clock_ns
        self._began_ns = clock_ns()
        self._lock = threading.Lock()
        self._index = 0
        self._processes: dict[Hashable, int] = {worker: worker for worker in range(workers)}
        self._next_process = workers
        self._busy: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def began_s(self) -> float:
        """When it began, on its clock: where `time` counts from."""
        return self._began_ns / 1e9

    def invoke(self, worker: Hashable, f: str, key: str | None = None, value: Any = None, call: str = "") -> Operation:
        """A worker is about to begin an operation; call this before its first attempt can leave.

        `worker` is any name of one sequential thread of calls; `call` names the call for people, as "c3-17".
        """
        invoked: dict[str, Any] = {"f": f} if key is None else {"f": f, "key": key}
        invoked |= {"value": value, "call": call} if call else {"value": value}
        with self._lock:
            process = self._process(worker)
            assert process not in self._busy, f"worker {worker!r} has an operation under way"
            self._busy.add(process)
            self._append(process, "invoke", invoked)
        return Operation(self, worker, process, invoked)

    def nemesis(self, f: str, value: Any = None) -> None:
        """A fault begins or ends; checkers pass over it."""
        with self._lock:
            self._append("nemesis", "info", {"f": f, "value": value})

    def close(self) -> None:
        """Ends the file. An operation without a completion counts as info."""
        with self._lock:
            if self._is_own:
                self._file.close()

    def _complete(self, operation: Operation, kind: str, event: dict[str, Any]) -> None:
        with self._lock:
            assert operation.process in self._busy, "an operation is completed once"
            self._busy.discard(operation.process)
            if kind == "info":
                del self._processes[operation._worker]
            self._append(operation.process, kind, event)

    def _process(self, worker: Hashable) -> int:
        if worker not in self._processes:
            self._processes[worker] = self._next_process
            self._next_process += 1
        return self._processes[worker]

    def _append(self, process: int | str, kind: str, event: dict[str, Any]) -> None:
        head = {"index": self._index, "time": self._clock_ns() - self._began_ns, "process": process, "type": kind}
        self._file.write(_encode({**head, **event}) + b"\n")
        self._file.flush()
        self._index += 1
