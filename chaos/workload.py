"""The workload: seeded clients that append and increment at the same time, and write down what they were told.

Every append carries a token of its own (`c3-17;`) to a key that all clients share, and every increment counts on a key
of its own (`n/c3-17`), so that the effects of each call can be counted in the store itself.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import oncekv.client as oncekv
from chaos.judge import Call
from oncekv.client import Attempt, Failed, History, Ok, Outcome, RetryPolicy

__all__ = ["Plan", "Told", "Workload"]

KEYS = 3
RETRY_FIRST_DELAY_S = 0.02
RETRY_DELAY_MAX_S = 0.1
PACE_MAX_S = 0.02


@dataclass(frozen=True)
class Plan:
    """How the clients behave. Times in seconds; `seed` fixes keys, kinds of calls and the jitter of retries."""

    semantics: str
    clients: int
    calls: int
    attempt_timeout_s: float
    call_timeout_s: float
    seed: str


@dataclass(frozen=True)
class Told:
    """One call, as its client saw it."""

    name: str
    method: str
    key: str
    outcome: Outcome
    took_s: float

    @property
    def attempts(self) -> Sequence[Attempt]:
        return self.outcome.attempts

    def judged(self, rows: Mapping[str, str]) -> Call:
        """The call with its effects, as the store's rows have them."""
        value = rows.get(self.key, "")
        misplaced = False
        if self.method == "kv.append":
            token = token_of(self.name)
            effects = value.count(token)
            if isinstance(self.outcome, Ok):
                misplaced = not value.startswith(token, self.outcome.result["offset"])
        else:
            effects = int(value or "0")
            if isinstance(self.outcome, Ok):
                misplaced = self.outcome.result["value"] != effects
        return Call(self.name, _told(self.outcome), effects, len(self.attempts), self.took_s, misplaced)


def token_of(name: str) -> str:
    """What the call of that name appends; no token is part of another."""
    return f"{name};"


class Workload:
    """Clients in threads. `told` grows as calls end; `settled` counts them."""

    def __init__(self, plan: Plan, links: Sequence[Sequence[str]], folder: Path, history: History) -> None:
        self._plan = plan
        self._links = links
        self._folder = folder
        self._history = history
        self._threads = [
            threading.Thread(target=self._client, args=(number,), name=f"client-{number}", daemon=True)
            for number in range(plan.clients)
        ]
        self._stop = threading.Event()
        self._open: list[oncekv.Client] = []
        self.told: list[Told] = []
        self.failure: BaseException | None = None

    @property
    def total(self) -> int:
        return self._plan.clients * self._plan.calls

    @property
    def settled(self) -> int:
        return len(self.told)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """No further calls; those under way end by themselves."""
        self._stop.set()

    def abandon(self) -> None:
        """End the calls that are still under way as well: nobody waits for them any more."""
        self.stop()
        for client in self._open:
            client.close()

    def _client(self, number: int) -> None:
        try:
            self._run_client(number)
        except BaseException as error:
            self.failure = error

    def _run_client(self, number: int) -> None:
        plan = self._plan
        rng = random.Random(f"{plan.seed}/client-{number}")
        exactly_once = plan.semantics == "exactly-once"
        with oncekv.connect(
            self._links[number],
            semantics=plan.semantics,
            timeout_s=None if exactly_once else plan.call_timeout_s,
            retry=RetryPolicy(
                first_delay_s=RETRY_FIRST_DELAY_S,
                delay_max_s=RETRY_DELAY_MAX_S,
                attempt_timeout_s=plan.attempt_timeout_s,
            ),
            outbox=self._folder / f"client-{number}.outbox" if exactly_once else None,
            sends_timeout=False,  # its mercy would hide what the dedup gate is there for: late arrivals are to run
            stays_on_good_link=False,
            rng=random.Random(rng.random()),
        ) as client:
            self._open.append(client)
            for index in range(plan.calls):
                if self._stop.is_set():
                    return
                told = self._call(client.outcome, f"c{number}-{index}", number, rng)
                # Who got no answer looks up before the next call; or else an outage would use up the workload at once.
                self._stop.wait(rng.uniform(0, PACE_MAX_S) if isinstance(told.outcome, Ok) else plan.attempt_timeout_s)

    def _call(self, perform: Callable[..., Outcome], name: str, process: int, rng: random.Random) -> Told:
        key, value = f"log/{rng.randrange(KEYS)}", token_of(name)
        method, params = "kv.append", {"key": key, "value": value}
        if rng.random() < 0.5:
            key = f"n/{name}"
            method, params = "kv.increment", {"key": key}
        event = self._history.invoke(process, method[3:], key, params.get("value", 1), call=name)
        began_s = time.monotonic()
        outcome = perform(method, params)
        took_s = time.monotonic() - began_s
        event.complete(outcome)
        told = Told(name, method, key, outcome, took_s)
        self.told.append(told)
        return told


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, Ok):
        return "ok"
    return "definite" if isinstance(outcome, Failed) else "unknown"
