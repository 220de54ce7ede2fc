"""Short ways to write an event and to ask the checker about events."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from chaos.judging.checker import Verdict, check, models, parse

__all__ = ["event", "sequence", "verdict_of"]

TIMEOUT_S = 100.0


def event(
    process: int | str, kind: str, f: str, key: str | None = None, value: Any = None, **facts: Any
) -> dict[str, Any]:
    """One line of a history; without a key for a register."""
    named = {} if key is None else {"key": key}
    return {"process": process, "type": kind, "f": f, **named, "value": value, **facts}


def sequence(*calls: tuple[Any, ...], process: int = 0) -> list[dict[str, Any]]:
    """Calls of one process, one after the other: (f, key, argument, told[, facts]); told may be "info" or "fail"."""
    events = []
    for f, key, argument, told, *facts in calls:
        kind = told if told in ("info", "fail") else "ok"
        events.append(event(process, "invoke", f, key, argument))
        events.append(event(process, kind, f, key, told if kind == "ok" else argument, **(facts[0] if facts else {})))
    return events


def verdict_of(events: Iterable[Any], model: str = "kv", **bounds: Any) -> Verdict:
    """The checker's verdict."""
    bounds.setdefault("timeout_s", TIMEOUT_S)
    return check(parse(events, models()[model]), models()[model], time.monotonic, **bounds)
