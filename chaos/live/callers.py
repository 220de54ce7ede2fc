"""The clients of the live world: real client stubs, each in a thread that makes a call now and then, or when asked to.

What one calls: it appends its call's name to a list of its own, and now and then increments a counter of that call's
own, so that every effect can be found in the store again. The semantics is that of the moment at which a call begins.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.live.effect_counts import CountedCall, EffectCounts
from chaos.live.journal import Journal
from chaos.live.pace import Pace
from chaos.live.paced_transport import MARGIN_S, PacedTransport
from chaos.workload.workload import told_of
from oncekv.client import Client, Environment, Failed, Ok, Outcome, RetryPolicy, connect

__all__ = ["METHODS", "Caller"]

METHODS = ("kv.append", "kv.increment")
PER_LIST = 20
INCREMENTS = 0.2
LEASE_MS = 7 * 24 * 3600 * 1000
ATTEMPTS = 6  # for which a call's time suffices
TEXT_MAX = 120
CALLS_AT_ONCE_MAX = 20
GREET_MAX_S = 5.0


class Caller:
    """One client. `semantics()`: the one of the moment. `rate()`: its calls in a second of the pace's; 0: none."""

    def __init__(
        self, name: str, urls: Sequence[str], folder: Path, journal: Journal, pace: Pace, counts: EffectCounts,
        give_up: Callable[[str, str, int], None], semantics: Callable[[], str], rate: Callable[[], float],
    ) -> None:  # fmt: skip
        self.name = name
        self._journal, self._pace, self._counts = journal, pace, counts
        self._semantics, self._rate = semantics, rate
        self._rng = random.Random(name)
        self._lock = threading.Lock()
        self._number = 0
        self._is_closed = threading.Event()
        self._wanted = threading.Event()
        """Set: it calls by itself."""
        self._next_owner = f"{name}'s next call"
        self._under_way = threading.BoundedSemaphore(CALLS_AT_ONCE_MAX)
        self._urls, self._folder, self._give_up = list(urls), folder, give_up
        self._lives = 0
        self._client = self._open()
        self._thread = threading.Thread(target=self._call_now_and_then, name=f"caller-{name}", daemon=True)
        self._thread.start()

    def call(self, method: str, key: str = "", value: str = "") -> str:
        """One call in a thread of its own; its name. Raises RuntimeError when too many are under way."""
        if not self._under_way.acquire(blocking=False):
            raise RuntimeError(f"{CALLS_AT_ONCE_MAX} calls of {self.name} are under way; let some of them end first")
        counted, shown, params = self._next(method, key, value)
        threading.Thread(
            target=self._finish, args=(counted, shown, params), name=f"call-{counted.name}", daemon=True
        ).start()  # fmt: skip
        return counted.name

    @property
    def is_running(self) -> bool:
        """Whether it calls by itself."""
        return self._wanted.is_set()

    def run(self) -> None:
        """Call by itself from now on."""
        self._wanted.set()

    def stop(self) -> None:
        """No more calls by itself; those that are under way go on."""
        self._wanted.clear()
        self._pace.cancel_of(self._next_owner)

    def greet(self) -> None:
        """Open its session before anybody cuts its link, by a call that changes nothing and that nobody is shown."""
        self._client.outcome("kv.delete", {"key": f"nobody/{self.name}"}, timeout_s=GREET_MAX_S)

    def renew(self) -> None:
        """Another client of the same name, with a session and an outbox of its own; the calls of the old one end."""
        before, self._client = self._client, self._open()
        self._cancel()
        before.close()

    def close(self) -> None:
        """Its calls end."""
        self._is_closed.set()
        self._wanted.set()
        self._cancel()
        self._client.close()
        self._thread.join(5.0)

    def _cancel(self) -> None:
        """Whatever it waits for."""
        for owner in (self.name, self._next_owner):
            self._pace.cancel_of(owner)

    def _open(self) -> Client:
        self._lives += 1
        transport = PacedTransport(self.name, self._pace, self._give_up, len(self._urls))
        environment = Environment(transport, self._pace.now_s, self._pause, self._rng.uniform)
        outbox = self._folder / f"{self.name}-{self._lives}.outbox"
        return connect(
            self._urls, semantics="at-most-once", outbox=outbox, resume=False,
            retry=RetryPolicy(first_delay_s=0.4, delay_max_s=1.0, attempt_timeout_s=1e6), session_lease_ms=LEASE_MS,
            sends_timeout=False, stays_on_good_link=len(self._urls) > 1, environment=environment,
        )  # fmt: skip

    def _call_now_and_then(self) -> None:
        while True:
            self._wanted.wait()
            if self._is_closed.is_set():
                return
            rate = self._rate()
            wait_s = self._rng.uniform(0.7, 1.3) / rate if rate else 1.0
            if not self._pace.wait(wait_s, f"{self.name} makes its next call", self._next_owner):
                self._is_closed.wait(0.05)
                continue
            if self._wanted.is_set() and not self._is_closed.is_set():
                method = "kv.increment" if self._rng.random() < INCREMENTS else "kv.append"
                self._do(*self._next(method, "", ""))

    def _next(self, method: str, key: str, value: str) -> tuple[CountedCall, str, dict[str, str]]:
        with self._lock:
            self._number += 1
            number = self._number
        name = f"{self.name}-{number}"
        if method == "kv.increment":
            key = f"{key or 'count'}/{name}"
            params, shown = {"key": key}, "+1"
        else:
            key = key or f"list/{self.name}/{number // PER_LIST}"
            shown = f"{value};{name};" if value else f"{name};"
            params = {"key": key, "value": shown}
        return CountedCall(name, self.name, method, key), shown, params

    def _finish(self, counted: CountedCall, shown: str, params: dict[str, str]) -> None:
        try:
            self._do(counted, shown, params)
        finally:
            self._under_way.release()

    def _do(self, counted: CountedCall, shown: str, params: dict[str, str]) -> None:
        semantics, client = self._semantics(), self._client
        self._counts.begin(counted)
        self._journal.add(
            "call", call=counted.name, client=self.name, method=counted.method, key=counted.key, value=shown
        )
        timeout_s = None if semantics == "exactly-once" else ATTEMPTS * (2 * self._pace.travel_s + MARGIN_S)
        try:
            outcome = client.outcome(counted.method, params, semantics=semantics, timeout_s=timeout_s)
        except Exception as error:
            if self._is_closed.is_set() or client is not self._client:
                return
            self._journal.add("problem", text=f"{self.name} could not make its call: {error}")
            self._counts.told(counted.name, "unknown")
            self._is_closed.wait(1.0)
            return
        if not self._is_closed.is_set() and client is self._client:
            self._tell(counted, outcome)

    def _tell(self, counted: CountedCall, outcome: Outcome) -> None:
        told = told_of(outcome)
        self._counts.told(counted.name, told)
        error, result = "", ""
        if isinstance(outcome, Ok):
            result = ", ".join(f"{name} {value}" for name, value in outcome.result.items() if name != "_meta")
        else:
            error = outcome.error.name if isinstance(outcome, Failed) else outcome.reason
        self._journal.add(
            "told", call=counted.name, client=self.name, told=told, attempts=len(outcome.attempts),
            replayed=isinstance(outcome, Ok | Failed) and outcome.replayed, error=error, result=result[:TEXT_MAX],
        )  # fmt: skip
        self._counts.count()

    def _pause(self, seconds: float) -> None:
        self._pace.wait(seconds, f"{self.name} sends again", self.name)
