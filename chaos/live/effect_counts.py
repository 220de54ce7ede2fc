"""What callers were told, beside what the store holds. Effects are counted in the store and nowhere else.

A call writes its own name, into a list that it shares with some others or under a key of its own, so its effects can be
counted: none, one, or one too many. Bound: the last CALLS_MAX calls are looked at again; older ones count as they were.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.live.journal import Journal

__all__ = ["CountedCall", "EffectCounts"]

CALLS_MAX = 3_000
TOLD_MAX = 120
Read = Callable[[Sequence[str]], dict[str, str] | None]


@dataclass
class CountedCall:
    """One call. told: "" as long as its client waits."""

    name: str
    client: str
    method: str
    key: str
    told: str = ""
    effects: int = 0

    def effects_in(self, value: str | None) -> int:
        """How often it took effect, by the value of its key."""
        if value is None:
            return 0
        if self.method == "kv.increment":
            return int(value) if value.isdecimal() else 0
        return value.split(";").count(self.name)


class EffectCounts:
    """Safe for threads. `read`: values of keys in the store."""

    def __init__(self, journal: Journal, read: Read, effect_seen: Callable[[str, int], None]) -> None:
        self._journal = journal
        self._read = read
        self._effect_seen = effect_seen
        self._lock = threading.RLock()
        self._calls: OrderedDict[str, CountedCall] = OrderedDict()
        self._dirty: set[str] = set()
        self._before = {"done": 0, "effects": 0, "doubled": 0, "unknown": 0, "lost": 0}
        self._last: dict[str, int] = {}
        self.sums = dict(self._before)

    def begin(self, call: CountedCall) -> None:
        """A client makes it."""
        with self._lock:
            self._calls[call.name] = call
            while len(self._calls) > CALLS_MAX:
                self._close(self._calls.popitem(last=False)[1])

    def told(self, name: str, told: str) -> None:
        """What its caller was told."""
        with self._lock:
            if name in self._calls:
                self._calls[name].told = told
                self._dirty.add(name)

    def touched(self, name: str) -> None:
        """Something happened that may have been an effect of it."""
        with self._lock:
            if name in self._calls:
                self._dirty.add(name)

    def touched_all(self) -> None:
        """Any of them may have other effects now: the store was lost, say."""
        with self._lock:
            self._dirty.update(self._calls)

    def find(self, name: str) -> CountedCall | None:
        """Unless it was long ago."""
        with self._lock:
            return self._calls.get(name)

    def count(self) -> None:
        """Look into the store for what is not settled, and tell the sums if they have changed."""
        with self._lock:
            names, self._dirty = self._dirty, set()
            calls = [self._calls[name] for name in names if name in self._calls]
        values = self._read(list({call.key for call in calls})) if calls else {}
        with self._lock:
            if values is None:  # nobody can look now; later
                self._dirty |= names
                values = {}
                calls = []
            for call in calls:
                self._recount(call, call.effects_in(values.get(call.key)))
            sums = self._sum()
            if sums != self._last:
                self._last = self.sums = sums
                self._journal.add("totals", **sums)

    def forget(self) -> None:
        """Begin anew, for an empty store."""
        with self._lock:
            self._calls.clear()
            self._dirty.clear()
            self._before = dict.fromkeys(self._before, 0)
            self.sums, self._last = dict(self._before), {}

    def tell(self) -> None:
        """The sums, and the effects of the last calls, as events."""
        with self._lock:
            for call in list(self._calls.values())[-TOLD_MAX:]:
                if call.effects:
                    self._tell_effects(call)
            self._journal.add("totals", **self.sums)

    def _recount(self, call: CountedCall, effects: int) -> None:
        if effects > call.effects:
            self._effect_seen(call.name, effects - call.effects)
        if effects != call.effects:
            call.effects = effects
            self._tell_effects(call)

    def _tell_effects(self, call: CountedCall) -> None:
        self._journal.add("effects", call=call.name, client=call.client, effects=call.effects)

    def _sum(self) -> dict[str, int]:
        sums = dict(self._before)
        for call in self._calls.values():
            _add(sums, call)
        return sums

    def _close(self, call: CountedCall) -> None:
        self._dirty.discard(call.name)
        _add(self._before, call)


def _add(sums: dict[str, int], call: CountedCall) -> None:
    sums["done"] += call.told == "ok"
    sums["unknown"] += call.told == "unknown"
    sums["effects"] += call.effects
    sums["doubled"] += call.effects > 1
    sums["lost"] += call.told == "ok" and call.effects == 0
