"""A client in a process of its own, which can be killed: the runner tells it what to call and hears what became of it.

`python -m chaos.workload.client_process PLAN` reads one call a line and answers each with a line. The runner writes
the history, so a call counts as invoked before the process can have sent it, and ends when the process said so: the
intervals are wider than the true ones, never narrower.

When the process is killed, its calls were told nothing. A new one on the same outbox finishes what the old one left
(exactly-once): the runner reads the dead one's file itself, and a call that stood there and that nobody finished is
unknown, which exactly-once never says. Under at-least-once the application sends again what it has no answer to;
otherwise the call stays untold for good. Limit: a call whose reply the process had, and did not pass on before it
died, is untold too.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import msgspec

from chaos.workload.clients import ClientPlan, open_client
from chaos.workload.workload import ClientDied, told_of
from oncekv.client import Attempt, Client, Failed, Ok, Outcome, Unknown
from oncerpc.wire.errors import KnownError

__all__ = ["ClientProcess", "UnderWay", "main"]

AT_ONCE_MAX = 8
START_MAX_S = 60.0
END_MAX_S = 5.0


@dataclass(frozen=True)
class UnderWay:
    """A call that the process was given and has not answered. `told` gets its outcome, None when the process dies."""

    method: str
    params: dict[str, Any]
    began_s: float = field(default_factory=time.monotonic)
    told: queue.SimpleQueue[Outcome | None] = field(default_factory=queue.SimpleQueue)

    def is_any_of(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        """Whether it is among them; what changes something is like no other call."""
        return (self.method, self.params) in calls


class ClientProcess:
    """The runner's side. `kill` and `restart` are the fault's."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "chaos.workload.client_process")
    """The words that start the process, before the plan."""

    def __init__(self, plan: ClientPlan) -> None:
        self._plan = plan
        self._resends = plan.semantics == "at-least-once"
        self._changed = threading.Condition()
        self._waiting: dict[int, UnderWay] = {}
        self._left: list[tuple[str, dict[str, Any]]] = []
        self._recovered: list[tuple[str, dict[str, Any], Outcome]] = []
        self._numbers = 0
        self._alive = False
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        self.restart()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def outcome(self, method: str, params: dict[str, Any]) -> Outcome:
        """Raises ClientDied."""
        while True:
            call = self._send(method, params)
            outcome = call.told.get()
            if outcome is not None:
                return outcome
            with self._changed:
                self._wait_alive()
            for was_method, was_params, was_outcome in self._recovered:
                if call.is_any_of([(was_method, was_params)]):
                    return was_outcome
            if call.is_any_of(self._left):
                return Unknown("it stood in the outbox, and nobody finished it")
            if not self._resends:
                raise ClientDied()

    def under_way(self) -> list[UnderWay]:
        """The calls that the process has not answered."""
        with self._changed:
            return list(self._waiting.values())

    def kill(self) -> tuple[int, int]:
        """SIGKILL; how many calls were under way, and how many the outbox then held."""
        with self._changed:
            under_way = len(self._waiting)
            assert self._process is not None
            self._process.kill()
        self._process.wait(END_MAX_S)
        # Not what earlier ones left: a process may have finished it, and have died before it could say so.
        left = self._left = _calls_in(Path(self._plan.outbox))
        return under_way, len(left)

    def restart(self) -> None:
        """A new process on the same outbox; what it recovered stands in `outcome` of the calls concerned."""
        process = subprocess.Popen(
            [*self.command, msgspec.json.encode(self._plan).decode()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, process_group=0,
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(process,), name="hand", daemon=True).start()
        with self._changed:
            self._process = process

    def close(self) -> None:
        """End it; calls under way are told nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(END_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_MAX_S)

    def _send(self, method: str, params: dict[str, Any]) -> UnderWay:
        with self._changed:
            self._wait_alive()
            self._numbers += 1
            call = self._waiting[self._numbers] = UnderWay(method, params)
            assert self._process is not None
            assert self._process.stdin is not None
            # It may just have been killed; what listens to it will say so.
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(json.dumps([self._numbers, method, params]) + "\n")
        return call

    def _wait_alive(self) -> None:
        came_up = self._changed.wait_for(lambda: self._alive or self._closed, START_MAX_S)
        if self._closed:
            raise ClientDied()
        if not came_up:
            raise TimeoutError(f"the client did not come up within {START_MAX_S:g} s")

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            with self._changed:
                if said[0] == "ready":
                    self._recovered += [(method, params, _load(told)) for method, params, told in said[1]]
                    self._alive = True
                    self._changed.notify_all()
                else:
                    self._waiting.pop(said[0]).told.put(_load(said[1]))
        process.wait(END_MAX_S)
        for pipe in (process.stdout, process.stdin):
            with contextlib.suppress(BrokenPipeError):  # a call on its way to one that was killed
                pipe.close()  # type: ignore[union-attr]  # both were asked for
        with self._changed:
            self._alive = False
            for call in self._waiting.values():
                call.told.put(None)
            self._waiting.clear()


def _calls_in(outbox: Path) -> list[tuple[str, dict[str, Any]]]:
    """Method and params of the calls in the outbox of a process that is dead; none, where it had not come to make one.

    A copy is read, for the next process shall find what the dead one left; and not by the client's own code, for that
    is what is being judged.
    """
    with tempfile.TemporaryDirectory(prefix="outbox-") as scratch:
        for part in outbox.parent.glob(f"{outbox.name}*"):
            shutil.copy(part, scratch)
        with contextlib.closing(sqlite3.connect(Path(scratch, outbox.name))) as copy:
            if not copy.execute("SELECT 1 FROM sqlite_schema WHERE name = 'calls'").fetchone():
                return []
            rows = copy.execute("SELECT method, params FROM calls").fetchall()
    return [(method, json.loads(params)) for method, params in rows]


def _dump(outcome: Outcome) -> dict[str, Any]:
    said: dict[str, Any] = {"told": told_of(outcome), "attempts": [msgspec.to_builtins(a) for a in outcome.attempts]}
    if isinstance(outcome, Ok):
        return {**said, "result": outcome.result, "replayed": outcome.replayed}
    if isinstance(outcome, Failed):
        return {**said, "error": outcome.error.name, "reason": outcome.error.message, "replayed": outcome.replayed}
    return {**said, "reason": outcome.reason, "kept": outcome.kept}


def _load(said: dict[str, Any]) -> Outcome:
    attempts = tuple(msgspec.convert(attempt, Attempt) for attempt in said["attempts"])
    if said["told"] == "ok":
        return Ok(said["result"], said["replayed"], attempts)
    if said["told"] == "definite":
        error = KnownError(said["reason"])  # it stands for a class that only the process has seen
        error.name = said["error"]
        return Failed(error, said["replayed"], attempts)
    return Unknown(said["reason"], said["kept"], attempts)


def _serve(plan: ClientPlan, calls: IO[str], answers: IO[str]) -> None:
    """The process's own side: until there is nothing more to read."""
    lock = threading.Lock()

    def say(what: list[Any]) -> None:
        with lock:
            answers.write(json.dumps(what) + "\n")
            answers.flush()

    with open_client(plan) as client, ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        recovered = [[found.method, found.params, _dump(found.outcome)] for found in client.recovered]
        say(["ready", recovered])
        for line in calls:
            number, method, params = json.loads(line)
            pool.submit(_answer, client, say, number, method, params)
        client.close()


def _answer(client: Client, say: Callable[[list[Any]], None], number: int, method: str, params: dict[str, Any]) -> None:
    say([number, _dump(client.outcome(method, params))])


def main(words: Sequence[str]) -> None:
    """The process; its one word is the plan."""
    _serve(msgspec.json.decode(words[0], type=ClientPlan), sys.stdin, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
