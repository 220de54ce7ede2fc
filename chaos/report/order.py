"""The orders that explain a history, and where a call stands in the store, both cut to what a person reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaos.report.records import Call, KeyOrder, Linearization

__all__ = ["Excerpt", "Orders", "cut", "excerpt", "orders_of"]

FIRST, LAST = 20, 5
STEP_MAX = 150
FEW = 3
KEYS_MAX = 60
AROUND = 24


@dataclass(frozen=True)
class Orders:
    """`keys`: those with more than FEW steps, or with no order that explains them. `few`: the others, by name."""

    verdict: str
    keys: list[tuple[str, KeyOrder]]
    few: list[str]
    more: int


@dataclass(frozen=True)
class Excerpt:
    """Parts of a value, in order; `is_it`: the part is what the call wrote."""

    key: str
    parts: list[tuple[str, bool]]


def orders_of(linearization: Linearization) -> Orders:
    """Keys without an order first, then the longest."""
    many = [(key, found) for key, found in linearization.keys.items() if _is_worth_showing(found)]
    many.sort(key=lambda pair: (pair[1].verdict == "yes", -len(pair[1].order), pair[0]))
    few = sorted(key for key, found in linearization.keys.items() if not _is_worth_showing(found))
    return Orders(linearization.verdict, many[:KEYS_MAX], few, max(0, len(many) - KEYS_MAX))


def _is_worth_showing(found: KeyOrder) -> bool:
    return len(found.order) > FEW or found.verdict != "yes"


def cut(order: list[str]) -> tuple[list[str], int, list[str]]:
    """The first steps, how many are left out, and the last ones; each as long as two lines."""
    steps = [_middle_out(step) for step in order]
    if len(order) <= FIRST + LAST + 1:
        return steps, 0, []
    return steps[:FIRST], len(order) - FIRST - LAST, steps[-LAST:]


def _middle_out(text: str) -> str:
    """What a read was told may be the whole value: its end says more than its middle."""
    return text if len(text) <= STEP_MAX else f"{text[: STEP_MAX // 2]} … {text[-STEP_MAX // 2 :]}"


def excerpt(call: Call, rows: Mapping[str, Mapping[str, Any]]) -> Excerpt | None:
    """Where an append's token (its name and `;`) stands in its key, with a little around it; None without a token."""
    value = rows.get(call.key, {}).get("value")
    token = call.token or f"{call.name};"
    if not isinstance(value, str) or token not in value:
        return None
    pieces = value.split(token)
    parts: list[tuple[str, bool]] = []
    for place, piece in enumerate(pieces):
        parts += [(token, True)] if place else []
        parts += [(_trimmed(piece, place == 0, place == len(pieces) - 1), False)] if piece else []
    return Excerpt(call.key, parts)


def _trimmed(text: str, is_first: bool, is_last: bool) -> str:
    if len(text) <= 2 * AROUND:
        return text
    head = "" if is_first else text[:AROUND]
    return f"{head}…{'' if is_last else text[-AROUND:]}"
