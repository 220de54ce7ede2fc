"""The judge: what each semantics promised, against what the store holds. Pure.

A call's *effects* are counted where they happened: every workload call writes a token, or counts on a key, of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.evidence import CallRecord, StoreRecord

__all__ = ["SHOWN_MAX", "Call", "Judgement", "found_in", "judge", "shortened"]

SHOWN_MAX = 5
# Errors that a call which is always the same, always valid and never conditional cannot get.
IMPOSSIBLE = frozenset(
    [
        "identity_reused",
        "invalid_params",
        "invalid_request",
        "method_not_found",
        "not_an_integer",
        "parse_error",
        "version_mismatch",
    ]
)


@dataclass(frozen=True)
class Call:
    """One workload call: what its client was told, and how often it is in the store.

    told: as in `CallRecord`. misplaced: told ok with an offset or value at which the store does not have it. error:
    the name of a definite one.
    """

    name: str
    told: str
    effects: int
    misplaced: bool = False
    error: str = ""


@dataclass(frozen=True)
class Judgement:
    """What came out.

    red: some call has two effects or more. lost: some call that was told ok has none. first: the place of the first
    call that is wrong.
    """

    violations: list[str]
    effects: dict[str, int]
    told: dict[str, int]
    red: bool
    lost: bool
    first: int | None


# semantics → what the client was told → (fewest, most) effects; None: no bound, absent: must never be told.
_PROMISES: dict[str, dict[str, tuple[int, int | None]]] = {
    "maybe": {"ok": (1, 1), "definite": (0, 0), "unknown": (0, 1), "never": (0, 1)},
    "at-least-once": {"ok": (1, None), "definite": (0, None), "unknown": (0, None), "never": (0, None)},
    "at-most-once": {"ok": (1, 1), "definite": (0, 0), "unknown": (0, 1), "never": (0, 1)},
    "exactly-once": {"ok": (1, 1), "definite": (0, 0), "never": (0, 1)},
}


def found_in(store: StoreRecord, call: CallRecord) -> Call:
    """The call with its effects, as the store has them."""
    row = store.rows.get(call.key)
    value = row.value if row else ""
    if call.token:
        effects = value.count(call.token)
        at = (call.result or {}).get("offset")
        misplaced = at is not None and not value.startswith(call.token, at)
    else:
        effects = int(value or "0")
        misplaced = call.told == "ok" and (call.result or {}).get("value") != effects
    return Call(call.name, call.told, effects, misplaced, call.error)


def judge(semantics: str, calls: Sequence[Call], *, may_say_unknown: bool = False) -> Judgement:
    """Hold every call against the promise of its semantics, in the order in which they ended.

    may_say_unknown: the session was not kept, which is the limit of exactly-once: "unknown" is not a lie, two effects
    are.
    """
    effects = Counter("2+" if call.effects > 1 else str(call.effects) for call in calls)
    told = Counter(call.told for call in calls)
    promise = {**({"unknown": (0, 1)} if may_say_unknown else {}), **_PROMISES[semantics]}
    found = [(at, wrong) for at, call in enumerate(calls) if (wrong := _violation(semantics, promise, call))]
    return Judgement(
        violations=shortened(wrong for _, wrong in found),
        effects={count: effects[count] for count in ("0", "1", "2+")},
        told={what: told[what] for what in ("ok", "definite", "unknown", "never")},
        red=effects["2+"] > 0,
        lost=any(call.told == "ok" and not call.effects for call in calls),
        first=found[0][0] if found else None,
    )


def _violation(semantics: str, promise: dict[str, tuple[int, int | None]], call: Call) -> str | None:
    bounds = promise.get(call.told)
    if bounds is None:
        return f"{call.name} was told {call.told}, which {semantics} never says"
    fewest, most = bounds
    if call.effects < fewest or (most is not None and call.effects > most):
        return f"{call.name} was told {call.told} and has {call.effects} effects"
    if call.misplaced and most is not None:
        return f"{call.name} was told a place at which the store does not have it"
    if call.error in IMPOSSIBLE:
        return f"{call.name} was refused as {call.error}, which it cannot have earned"
    return None


def shortened(violations: Iterable[str]) -> list[str]:
    """The first few, and how many more."""
    found = list(violations)
    more = len(found) - SHOWN_MAX
    return [*found[:SHOWN_MAX], *([f"and {more} more"] if more > 0 else [])]
