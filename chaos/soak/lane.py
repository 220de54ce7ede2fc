"""A lane: one caller, which appends tokens to a log of its own, and now and then counts them and begins a new log.

So the store stays small however long it goes on, and every call is judged. A call that arrives after its log was
counted is found in the next one: none that was told anything but *unknown* may.

    kv.append   a token to the log                      kv.txn   a token to the log and 1 to a sum: both or neither
    kv.get      the log: what was acknowledged is in it

The counting goes to the servers themselves, not over links, and deletes only what it has read.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.judging.judge import Call, judge
from chaos.workload.workload import told_of
from oncekv.client import Client, Ok

__all__ = ["Lane", "Tally", "Timing"]

LOG_MAX = 150
"""Tokens in a log before it is counted."""
SHOWN_MAX = 20
READS, TXNS = 0.15, 0.25
_ANSWERS = ("ok", "refused")
"""How the results of attempts begin that had one."""


@dataclass
class Tally:
    """What one semantics came to. effects: of calls, by how many each had."""

    calls: int = 0
    told: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    reads: int = 0
    lost: int = 0
    doubled: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Another lane's."""
        for name in ("calls", "attempts", "reads", "lost", "doubled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.told += other.told
        self.effects += other.effects
        self.violations = [*self.violations, *other.violations][:SHOWN_MAX]


@dataclass(frozen=True)
class Timing:
    """One call that has ended."""

    took_ms: float
    attempts: int
    unanswered: int


class Lane:
    """`count` and `run` are of one thread; `tally` grows as logs are counted."""

    def __init__(
        self, name: str, semantics: str, rng: random.Random, pause_s: float, direct: Client,
        timed: Callable[[Timing], None],
    ) -> None:  # fmt: skip
        self.name, self.semantics = name, semantics
        self.tally = Tally()
        self._rng = rng
        self._pause_s = pause_s
        self._direct = direct
        self._timed = timed
        self._log, self._sum = f"log/{name}", f"sum/{name}"
        self._number = 0
        self._told: dict[str, str] = {}
        self._unknown: dict[str, int] = {}
        """Of logs that were counted: calls of unknown outcome, with their effects so far."""

    def run(self, client: Client, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            self._call(client)
            if self._rng.random() < READS:
                self._read(client)
            if len(self._told) >= LOG_MAX:
                self.count()
            stop.wait(self._rng.uniform(0, 2 * self._pause_s))

    def _call(self, client: Client) -> None:
        self._number += 1
        is_txn = self._rng.random() < TXNS
        token = f"{self._number}{'t' if is_txn else 'a'};"
        append: dict[str, object] = {"key": self._log, "value": f" {token}"}
        began_s = time.monotonic()
        if is_txn:
            ops = [{"op": "append", **append}, {"op": "increment", "key": self._sum}]
            outcome = client.outcome("kv.txn", {"ops": ops})
        else:
            outcome = client.outcome("kv.append", append)
        self._told[token] = told_of(outcome)
        unanswered = sum(not attempt.result.startswith(_ANSWERS) for attempt in outcome.attempts)
        self.tally.attempts += len(outcome.attempts)
        self._timed(Timing((time.monotonic() - began_s) * 1000, len(outcome.attempts), unanswered))

    def _read(self, client: Client) -> None:
        """What was acknowledged must be there, since nobody else writes it; how often is judged later."""
        outcome = client.outcome("kv.get", {"key": self._log})
        if not isinstance(outcome, Ok):
            return
        self.tally.reads += 1
        found = Counter((outcome.result["value"] or "").split())
        for token, told in self._told.items():
            if told == "ok" and not found[token]:
                self._broken(f"{token} was told ok, and a read did not find it")

    def count(self) -> None:
        """Judge the log, and begin a new one."""
        log, total = self._taken()
        found = Counter(log.split())
        if sum(count for token, count in found.items() if token.endswith("t;")) != total:
            self._broken(f"half a transaction: the sum is {total} in {log[-200:]}")
        calls = [Call(token, told, found.pop(token, 0)) for token, told in self._told.items()]
        judged = judge(self.semantics, calls)
        self.tally.calls += len(calls)
        self.tally.told += Counter(judged.told)
        self.tally.effects += Counter(judged.effects)
        self.tally.lost += sum(call.told == "ok" and not call.effects for call in calls)
        self.tally.doubled += sum(call.effects > 1 for call in calls)
        for violation in judged.violations:
            self._broken(violation)
        self._count_late(found)
        self._unknown |= {call.name: call.effects for call in calls if call.told in ("unknown", "never")}
        self._told = {}

    def _count_late(self, found: Counter[str]) -> None:
        """Effects of calls whose log was counted before."""
        for token, count in found.items():
            effects = self._unknown.get(token, 1) + count
            self._unknown[token] = effects
            self.tally.doubled += effects > 1
            if effects > 1 and self.semantics != "at-least-once":
                self._broken(f"{token} has {effects} effects, the last of them late")

    def _taken(self) -> tuple[str, int]:
        """The log and the sum as of one moment, and they are gone; a call that comes in between is not missed."""
        keys = (self._log, self._sum)
        gets = [{"op": "get", "key": key} for key in keys]
        deletes = [{"op": "delete", "key": key} for key in keys]
        while True:
            log, total = self._direct.call("kv.txn", {"ops": gets})["results"]
            checks = [{"key": key, "version": row["version"]} for key, row in zip(keys, (log, total), strict=True)]
            if isinstance(self._direct.outcome("kv.txn", {"checks": checks, "ops": deletes}), Ok):
                return log["value"] or "", int(total["value"] or 0)

    def _broken(self, what: str) -> None:
        if len(self.tally.violations) < SHOWN_MAX:
            self.tally.violations.append(f"{self.semantics}, {self.name}: {what}")
