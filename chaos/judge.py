"""The judge: what each semantics promised, against what the store holds. Pure.

A call's *effects* are counted where they happened: every workload call writes a token, or counts on a key, of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Call", "Evidence", "Judgement", "judge"]

SHOWN_MAX = 5


@dataclass(frozen=True)
class Call:
    """One workload call: what its client was told, and how often it is in the store.

    told: "ok", "definite" or "unknown". took_s: from the call to its outcome. misplaced: told ok with an offset or
    value at which the store does not have it.
    """

    name: str
    told: str
    effects: int
    attempts: int
    took_s: float
    misplaced: bool = False


@dataclass(frozen=True)
class Evidence:
    """Counts from both ends, for the proof that a fault fired.

    sent: attempts that left the clients (connections that were refused not counted). answered: those that a client
    got a reply to. arrived, refused (by name), failpoints (by name): as the server's present life counted them.
    identified: whether the attempts carried an identity.
    """

    sent: int
    answered: int
    arrived: int
    refused: Mapping[str, int] = field(default_factory=dict)
    failpoints: Mapping[str, int] = field(default_factory=dict)
    identified: bool = False


@dataclass(frozen=True)
class Judgement:
    """What came out. `red`: some call has two effects or more."""

    violations: list[str]
    effects: dict[str, int]
    told: dict[str, int]
    red: bool

    @property
    def kept(self) -> bool:
        return not self.violations


# semantics → what the client was told → (fewest, most) effects; None: no bound, absent: must never be told.
_PROMISES: dict[str, dict[str, tuple[int, int | None]]] = {
    "maybe": {"ok": (1, 1), "definite": (0, 0), "unknown": (0, 1)},
    "at-least-once": {"ok": (1, None), "definite": (0, None), "unknown": (0, None)},
    "at-most-once": {"ok": (1, 1), "definite": (0, 0), "unknown": (0, 1)},
    "exactly-once": {"ok": (1, 1), "definite": (0, 0)},
}


def judge(semantics: str, calls: Sequence[Call]) -> Judgement:
    """Hold every call against the promise of its semantics."""
    effects = Counter("2+" if call.effects > 1 else str(call.effects) for call in calls)
    told = Counter(call.told for call in calls)
    return Judgement(
        violations=_shortened(violation for call in calls if (violation := _violation(semantics, call))),
        effects={count: effects[count] for count in ("0", "1", "2+")},
        told={what: told[what] for what in ("ok", "definite", "unknown")},
        red=effects["2+"] > 0,
    )


def _violation(semantics: str, call: Call) -> str | None:
    bounds = _PROMISES[semantics].get(call.told)
    if bounds is None:
        return f"{call.name} was told {call.told}, which {semantics} never says"
    fewest, most = bounds
    if call.effects < fewest or (most is not None and call.effects > most):
        return f"{call.name} was told {call.told} and has {call.effects} effects"
    if call.misplaced and most is not None:
        return f"{call.name} was told a place at which the store does not have it"
    return None


def _shortened(violations: Iterable[str]) -> list[str]:
    found = list(violations)
    more = len(found) - SHOWN_MAX
    return [*found[:SHOWN_MAX], *([f"and {more} more"] if more > 0 else [])]
