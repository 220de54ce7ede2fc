"""A saved run with very many messages, made up: what the page must draw without a stutter."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["crowded_run"]

CLIENTS = [f"c{number}" for number in range(6)]
TRAVEL_MS = 1200


def crowded_run(messages_per_s: int, seconds: int) -> str:
    """JSON Lines, as the live page saves them: so many messages set out each second, and each travels 1.2 s."""
    links = [{"id": client, "client": client, "server": "s0"} for client in CLIENTS]
    pace = {"mode": "run", "travel_ms": TRAVEL_MS}
    world = {
        "format": "oncekv-live/1", "run": "crowd", "runtime": "made up", "store": "sqlite", "semantics": "exactly-once",
        "clients": CLIENTS, "servers": ["s0"], "links": links, "pace": pace, "scenes": [], "opened": True,
    }  # fmt: skip
    events: list[tuple[float, str, dict[str, Any]]] = [(0.0, "world", world)]
    for number in range(messages_per_s * seconds // 2):
        _add_call(events, number, 2000.0 * number / messages_per_s)
    events.sort(key=lambda event: event[0])
    return "".join(
        json.dumps({"n": n, "t": round(t, 1), "type": kind, **facts}) + "\n"
        for n, (t, kind, facts) in enumerate(events, 1)
    )


def _add_call(events: list[tuple[float, str, dict[str, Any]]], number: int, began_ms: float) -> None:
    client = CLIENTS[number % len(CLIENTS)]
    call = f"{client}-{number // len(CLIENTS) + 1}"
    of_call = {"call": call, "client": client}
    there = {**of_call, "server": "s0", "link": client, "attempt": 1, "copy": False, "travel_ms": TRAVEL_MS}
    answered_ms, told_ms = began_ms + TRAVEL_MS, began_ms + 2 * TRAVEL_MS
    passed = {"up_in": number, "up_out": number, "down_in": number, "down_out": number}
    done = {"attempts": number, "effects": number, "replays": 0, "refusals": 0}
    events += [
        (began_ms, "call", {**of_call, "method": "kv.append", "key": "k", "value": "v"}),
        (began_ms, "message", {"id": f"m{2 * number}", "kind": "request", **there}),
        (answered_ms, "message-end", {"id": f"m{2 * number}", "end": "arrived", "by": ""}),
        (answered_ms, "server", {"server": "s0", "state": "up", "counts": done}),
        (answered_ms, "message", {"id": f"m{2 * number + 1}", "kind": "reply", "outcome": "ok", **there}),
        (told_ms, "message-end", {"id": f"m{2 * number + 1}", "end": "arrived", "by": ""}),
        (told_ms, "link", {"link": client, "up": "open", "down": "open", "counts": passed}),
        (told_ms, "told", {**of_call, "told": "ok", "attempts": 1, "replayed": False, "error": "", "result": ""}),
    ]
