"""Seeded clients that call what the generator says, each over its own link, and write down what they were told.

A client has two lanes, threads that share its session, so several of its calls are outstanding at once. Guarantee: the
history is complete, and every call in it has a token, or a key, of its own. Limit: the same seed gives the same calls,
not the same interleaving.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from chaos.evidence import AttemptRecord, CallRecord
from chaos.workload.generators.base import Generator, Request
from oncekv.client import Failed, History, Ok, Outcome

__all__ = ["LANES", "ClientDied", "Plan", "Workload", "WorkloadClient"]

LANES = 2
PACE_MAX_S = 0.04
READS = 0.25  # reads for each call


class ClientDied(Exception):
    """The client's process was killed in the middle of the call; it was told nothing."""


class WorkloadClient(Protocol):
    """What a lane needs of a client."""

    def outcome(self, method: str, params: dict[str, object]) -> Outcome:
        """Raises ClientDied."""
        ...

    def close(self) -> None:
        """End the calls under way."""
        ...


@dataclass(frozen=True)
class Plan:
    """How the clients behave. calls: of each client; None: until told to stop. `seed` fixes what they call."""

    clients: int
    calls: int | None
    pause_s: float
    """How long a client that got no answer looks up, or else an outage would use up the workload at once."""
    seed: str
    holds: Sequence[float] = ()
    """Fractions of its calls at which each client waits for one more `release`: a fault that goes in slowly shall find
    some left."""


class Workload:
    """Clients in threads. `told` and `reads` grow as calls end; `settled` counts the former."""

    def __init__(
        self,
        plan: Plan,
        generator: Generator,
        clients: Sequence[AbstractContextManager[WorkloadClient]],
        history: History,
    ) -> None:
        self._plan = plan
        self._mix = generator
        self._clients = clients
        self._history = history
        self._threads = [
            threading.Thread(target=self._client, args=(number,), name=f"client-{number}", daemon=True)
            for number in range(plan.clients)
        ]
        self._stop = threading.Event()
        self._released = 0
        self._has_released = threading.Condition()
        self.callers: dict[int, WorkloadClient] = {}
        """The clients that are open, by their numbers."""
        self.told: list[CallRecord] = []
        self.reads: list[CallRecord] = []
        self.failure: BaseException | None = None

    @property
    def total(self) -> int:
        return self._plan.clients * (self._plan.calls or 0)

    @property
    def settled(self) -> int:
        return len(self.told)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def now_ms(self) -> float:
        """As the records of calls have their times."""
        return self._ms(time.monotonic())

    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def release(self) -> None:
        """The calls up to the next hold may be made."""
        with self._has_released:
            self._released += 1
            self._has_released.notify_all()

    def stop(self) -> None:
        """No further calls; those under way end by themselves."""
        self._stop.set()
        with self._has_released:
            self._has_released.notify_all()

    def abandon(self, timeout_s: float) -> None:
        """End the calls that are still under way as well, nobody waits for them any more; bounded."""
        self.stop()
        for caller in list(self.callers.values()):
            caller.close()
        end_s = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end_s - time.monotonic()))

    def _client(self, number: int) -> None:
        try:
            with self._clients[number] as caller:
                self.callers[number] = caller
                lanes = [
                    threading.Thread(target=self._lane, args=(number, lane, caller), daemon=True)
                    for lane in range(LANES)
                ]
                for thread in lanes:
                    thread.start()
                for thread in lanes:
                    thread.join()
        except BaseException as error:
            self.failure = error

    def _lane(self, number: int, lane: int, caller: WorkloadClient) -> None:
        try:
            rng = random.Random(f"{self._plan.seed}/client-{number}/{lane}")
            index = lane
            while self._has_next(index):
                name = f"c{number}-{index}"
                self._call(self._mix.call(name, rng), caller, name, number, lane)
                if rng.random() < READS:
                    self._call(self._mix.read(rng), caller, f"r{number}-{index}", number, lane)
                index += LANES
                self._stop.wait(rng.uniform(0, PACE_MAX_S))
        except BaseException as error:
            self.failure = error

    def _has_next(self, index: int) -> bool:
        """Whether a lane goes on; at a hold it waits first, until that one is released."""
        calls = self._plan.calls
        if calls is not None and index < calls:
            holds = sum(1 for fraction in self._plan.holds if fraction * calls <= index)
            with self._has_released:
                self._has_released.wait_for(lambda: self._released >= holds or self._stop.is_set())
        return not self._stop.is_set() and (calls is None or index < calls)

    def _call(self, wanted: Request, caller: WorkloadClient, name: str, number: int, lane: int) -> None:
        # Several operations of one transaction stand in the history side by side, each under a process of its own.
        operations = [
            self._history.invoke(f"{number}/{lane}/{part}", *operation, call=name)
            for part, operation in enumerate(wanted.operations())
        ]
        began_s = time.monotonic()
        outcome: Outcome | None = None
        with contextlib.suppress(ClientDied):
            outcome = caller.outcome(wanted.method, dict(wanted.params))
        took_s = time.monotonic() - began_s
        for operation, part in zip(operations, _parts(outcome, len(operations)), strict=True):
            operation.complete(part) if part else operation.info("the client died")
        record = self._record(wanted, outcome, name, number, lane, began_s, took_s)
        (self.reads if wanted.is_read else self.told).append(record)
        if not isinstance(outcome, Ok):
            self._stop.wait(self._plan.pause_s)

    def _record(
        self, wanted: Request, outcome: Outcome | None, name: str, number: int, lane: int, began_s: float, took_s: float
    ) -> CallRecord:
        attempts = () if outcome is None else outcome.attempts
        return CallRecord(
            name=name,
            client=number,
            lane=lane,
            method=wanted.method,
            key=wanted.key,
            token=wanted.token,
            told=told_of(outcome),
            began_ms=self._ms(began_s),
            took_ms=round(took_s * 1000, 2),
            attempts=tuple(
                AttemptRecord(a.number, a.link, self._ms(a.started_s), round(a.took_s * 1000, 2), a.result)
                for a in attempts
            ),
            result={k: v for k, v in outcome.result.items() if k != "_meta"} if isinstance(outcome, Ok) else None,
            replayed=isinstance(outcome, Ok | Failed) and outcome.replayed,
            error=outcome.error.name if isinstance(outcome, Failed) else "",
            reason=outcome.error.message if isinstance(outcome, Failed) else getattr(outcome, "reason", ""),
        )

    def _ms(self, at_s: float) -> float:
        return round((at_s - self._history.began_s) * 1000, 2)


def _parts(outcome: Outcome | None, count: int) -> Sequence[Outcome | None]:
    """The outcome of each operation of a call."""
    if isinstance(outcome, Ok) and "results" in outcome.result:
        return [Ok(result, outcome.replayed, outcome.attempts) for result in outcome.result["results"]]
    return [outcome] * count


def told_of(outcome: Outcome | None) -> str:
    """The word of the evidence for an outcome; None is that of a client that died."""
    if outcome is None:
        return "never"
    if isinstance(outcome, Ok):
        return "ok"
    return "definite" if isinstance(outcome, Failed) else "unknown"
