"""Linearizability by trying every order, all keys at once, without a memory: slow, and too plain to be wrong.

It shares nothing with the checker: it reads the events itself, and their meaning is `simulated.effect`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.simulated_store import Event, Store, effect

__all__ = ["is_linearizable"]


@dataclass(frozen=True)
class _Call:
    f: str
    key: str | None
    argument: Any
    begun: int
    ended: float
    told: Event | None


def is_linearizable(events: Sequence[Event]) -> bool:
    """Whether some order of the calls, each within its interval, explains every reply."""
    return _has_order(_calls(events), {})


def _calls(events: Sequence[Event]) -> list[_Call]:
    calls = []
    for begun, event in enumerate(events):
        if event["type"] != "invoke":
            continue
        following = enumerate(events[begun + 1 :], begun + 1)
        ended, end = next(((i, e) for i, e in following if e["process"] == event["process"]), (begun, event))
        if end["type"] == "fail":
            continue
        is_ok = end["type"] == "ok"
        calls.append(
            _Call(
                event["f"],
                event.get("key"),
                event["value"],
                begun,
                ended if is_ok else float("inf"),
                end if is_ok else None,
            )
        )
    return calls


def _has_order(left: list[_Call], store: Store) -> bool:
    if all(call.told is None for call in left):
        return True
    horizon = min(call.ended for call in left)
    for call in left:
        if call.begun > horizon:
            continue
        told, after = effect(store, call.f, call.key, call.argument)
        if told is None or (call.told is not None and not _agrees(call, told)):
            continue
        if _has_order([other for other in left if other is not call], after):
            return True
    return False


def _agrees(call: _Call, told: dict[str, Any]) -> bool:
    assert call.told is not None
    shown = call.f not in ("put", "append", "write", "cas")  # the value that these are told is only their argument
    return (not shown or call.told["value"] == told["value"]) and all(
        call.told[name] == told[name] for name in ("version", "offset") if name in call.told and name in told
    )
