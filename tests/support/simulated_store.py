"""Histories of a store that exists only here: what its meaning is, clients that call it at the same time, and liars.

The meaning is written down once more, in the plainest way, so that the checker's models are held against something
that is not themselves. State: of each key its value and version.
"""

from __future__ import annotations

import random
from typing import Any

__all__ = ["Event", "Store", "effect", "mutate", "simulate"]

Event = dict[str, Any]
Store = dict[str | None, tuple[Any, int]]
ABSENT: tuple[None, int] = (None, 0)


def effect(store: Store, f: str, key: str | None, argument: Any) -> tuple[dict[str, Any] | None, Store]:
    """What an ok event of this call would say, or None if it fails for sure, and the store after it."""
    value, version = store.get(key, ABSENT)
    told: dict[str, Any] | None = {"value": argument, "version": version + 1}
    after: tuple[Any, int] = (argument, version + 1)
    if f in ("get", "read"):
        told, after = {"value": value, "version": version}, (value, version)
    elif f == "append":
        told, after = (
            {"value": argument, "offset": len(value or ""), "version": version + 1},
            ((value or "") + argument, version + 1),
        )
    elif f == "increment":
        if value is not None and not value.lstrip("-").isdecimal():
            return None, store
        number = int(value or "0") + argument
        told, after = {"value": number, "version": version + 1}, (str(number), version + 1)
    elif f == "delete":
        told, after = {"value": value is not None}, ABSENT
    elif f == "cas":
        if value != argument[0]:
            return None, store
        after = (argument[1], version + 1)
    return told, {**store, key: after}


class _Client:
    """One sequential process: invokes, has its effect at some moment, completes."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.call: Event | None = None
        self.told: dict[str, Any] | None = None
        self.ran = False


class _Run:
    def __init__(self, rng: random.Random, model: str, keys: int, unknown: float, facts: bool) -> None:
        self.rng, self.model, self.unknown, self.facts = rng, model, unknown, facts
        self.keys: list[str | None] = [f"k{number}" for number in range(keys)] if model == "kv" else [None]
        self.store: Store = {}
        self.events: list[Event] = []
        self.late: list[Event] = []
        self.tokens = 0

    def draw(self, functions: tuple[str, ...]) -> Event:
        """A call. Few values, so that histories have reads that several orders explain."""
        f, rng = self.rng.choice(functions), self.rng
        self.tokens += 1
        argument: Any = None
        if f in ("put", "append"):
            argument = rng.choice(["a", "b", "7", f"t{self.tokens};"])
        elif f == "increment":
            argument = rng.choice([1, 1, 2, -3])
        elif f == "write":
            argument = rng.randrange(3)
        elif f == "cas":
            argument = [rng.choice([None, 0, 1, 2]), rng.randrange(3)]
        call = {"f": f, "value": argument}
        return call if self.model == "register" else {"f": f, "key": rng.choice(self.keys), "value": argument}

    def run(self, call: Event) -> dict[str, Any] | None:
        """Let the call take effect now."""
        told, self.store = effect(self.store, call["f"], call.get("key"), call["value"])
        return told

    def write(self, process: int, kind: str, call: Event, **told: Any) -> None:
        if not self.facts:
            told = {name: fact for name, fact in told.items() if name == "value"}
        self.events.append({"index": len(self.events), "process": process, "type": kind, **call, **told})


FUNCTIONS = {"kv": ("get", "get", "put", "append", "increment", "delete"), "register": ("read", "read", "write", "cas")}


def simulate(
    rng: random.Random,
    model: str,
    *,
    clients: int = 3,
    calls: int = 7,
    keys: int = 2,
    unknown: float = 0.2,
    facts: bool = True,
    functions: tuple[str, ...] | None = None,
) -> list[Event]:
    """A linearizable history. unknown: the share of calls whose outcome the client does not learn; half of them run,
    some much later. facts: whether replies tell versions and offsets. Those still open at the end have no completion.
    """
    run = _Run(rng, model, keys, unknown, facts)
    pool, fresh = [_Client(number) for number in range(clients)], clients
    left = calls
    while left:
        client = rng.choice(pool)
        if run.late and rng.random() < 0.1:
            run.run(run.late.pop(rng.randrange(len(run.late))))
        if client.call is None:
            client.call = run.draw(functions or FUNCTIONS[model])
            run.write(client.process, "invoke", client.call)
        elif rng.random() < unknown and not client.ran:
            if rng.random() < 0.7:
                run.late.append(client.call)
            run.write(client.process, "info", client.call, error="timeout")
            pool[pool.index(client)], fresh, left = _Client(fresh), fresh + 1, left - 1
        elif not client.ran:
            client.told, client.ran = run.run(client.call), True
        else:
            run.write(client.process, "fail" if client.told is None else "ok", client.call, **(client.told or {}))
            pool[pool.index(client)], left = _Client(client.process), left - 1
    return run.events


def mutate(rng: random.Random, events: list[Event]) -> list[Event]:
    """The history with one lie in it. It may still be linearizable."""
    events = [dict(event) for event in events]
    told = [number for number, event in enumerate(events) if event["type"] == "ok"]
    if not told:
        return events
    number = rng.choice(told)
    event = events[number]
    kinds = ["info", "fail", *(name for name in ("version", "offset") if name in event)]
    kinds += ["value", "value"] if event["f"] in ("get", "read", "increment", "delete") else []
    kind = rng.choice(kinds)
    if kind in ("info", "fail"):
        event["type"] = kind
    elif kind == "value":
        event["value"] = _other(rng, event, events)
    else:
        event[kind] = max(0, event[kind] + rng.choice([-1, 1]))
    return events


def _other(rng: random.Random, event: Event, events: list[Event]) -> Any:
    if event["f"] == "delete":
        return not event["value"]
    if event["f"] == "increment":
        return event["value"] + rng.choice([-1, 1])
    return rng.choice(
        [None, *(other["value"] for other in events if other["f"] in ("put", "append", "write", "get", "read"))]
    )
