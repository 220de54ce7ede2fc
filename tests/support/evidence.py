"""A run's folder as the chaos runner leaves it, made up: for tests of what reads it, without servers and faults.

The numbers come from a small seeded model (four clients, one fault, retries), so that the pages made of it look like
real ones. Nothing here is a measurement, and nothing made here is kept.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["COLUMNS", "SCENARIOS", "cell_of", "write_run"]

COLUMNS = ("maybe", "at-least-once", "at-most-once/memory", "at-most-once", "exactly-once")
SCENARIOS = ("healthy", "lost-request", "lost-reply", "crash-after-commit", "volume-lost")
ATTEMPT_MS = 250.0
Json = dict[str, Any]


def write_run(
    folder: Path, scenarios: Iterable[str] = SCENARIOS, columns: Iterable[str] = COLUMNS, calls: int = 25, seed: int = 5
) -> Path:
    """A complete run of those cells; `calls` for each of four clients."""
    cells = [
        write_cell(folder, scenario, column, calls, random.Random(f"{seed}/{scenario}/{column}"))
        for scenario in scenarios
        for column in list(columns)
    ]
    summary = {
        "began": "2026-11-22T17:58:56+00:00",
        "runtime": "local",
        "seed": seed,
        "clients": 4,
        "calls_per_client": calls,
        "command": f"python -m chaos matrix --seed {seed}",
        "versions": {"oncekv": "0.1.0", "python": "3.11.7", "sqlite": "3.40.1", "toxiproxy": "2.12.0"},
        "took_s": 31.2,
        "complete": True,
        "good": all(cell["good"] for cell in cells),
        "cells": cells,
    }
    (folder / "matrix.json").write_text(json.dumps(summary, indent=1))
    return folder


def write_cell(folder: Path, scenario: str, column: str, calls: int, rng: random.Random) -> Json:
    """One cell's files; its entry in the summary."""
    place = folder / f"{scenario}--{column.replace('/', '-')}"
    place.mkdir(parents=True)
    made = [call for client in range(4) for call in _client(client, scenario, column, calls, rng)]
    bands = [] if scenario == "healthy" else [(400.0, 1100.0)]
    _write_lines(place / "calls.jsonl", made)
    _write_lines(place / "history.jsonl", _events(scenario, made, bands))
    rows = _rows(made)
    (place / "store.json").write_text(json.dumps({"boot": 2, "rows": rows}))
    order = [f"{call['name']} {call['method'][3:]} {call['key']}" for call in made if call["effects"]]
    keys = {key: {"verdict": "yes", "order": [step for step in order if step.endswith(key)]} for key in rows}
    if column in ("at-most-once", "exactly-once"):
        (place / "linearization.json").write_text(json.dumps({"verdict": "yes", "keys": keys}))
    return cell_of(scenario, column, made)


def cell_of(scenario: str, column: str, calls: list[Json]) -> Json:
    """The entry of a cell in `matrix.json`."""
    effects = [call["effects"] for call in calls]
    broken = column.endswith("memory") and max(effects, default=0) > 1
    took = sorted(call["took_ms"] for call in calls) or [0.0]
    return {
        "scenario": scenario,
        "column": column,
        "folder": f"{scenario}--{column.replace('/', '-')}",
        "repeat": f"python -m chaos run {scenario} --semantics {column} --seed 5",
        "teaches": "The call runs and its reply is lost. The client hears nothing, as if the request were lost.",
        "control": broken or (column == "at-least-once" and scenario == "lost-reply"),
        "calls": len(calls),
        "attempts": sum(len(call["attempts"]) for call in calls),
        "effects": {"0": effects.count(0), "1": effects.count(1), "2+": sum(1 for count in effects if count > 1)},
        "told": {what: sum(call["told"] == what for call in calls) for what in ("ok", "definite", "unknown", "never")},
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[-1],
        "fired": 4,
        "kept": not broken,
        "red": any(count > 1 for count in effects),
        "linearizable": "yes" if column in ("at-most-once", "exactly-once") else "",
        "violations": ["c0-3 was told ok and has 2 effects"] if broken else [],
        "problems": [],
        "took_s": 2.6,
        "good": True,
    }


def _client(client: int, scenario: str, column: str, calls: int, rng: random.Random) -> Iterable[Json]:
    at_ms = rng.uniform(1, 12)
    for number in range(calls):
        call = _call(f"c{client}-{number}", client, scenario, column, at_ms, rng)
        yield call
        at_ms = call["began_ms"] + call["took_ms"] + rng.uniform(0, 60)


def _call(name: str, client: int, scenario: str, column: str, began_ms: float, rng: random.Random) -> Json:
    attempts: list[Json] = []
    effects, now_ms, told, replayed = 0, began_ms, "unknown", False
    for number in range(1, 2 if column == "maybe" else 8):
        ending, runs = _attempt(scenario, column, now_ms, effects)
        effects += runs
        took_ms = ATTEMPT_MS if ending == "timed out" else round(rng.lognormvariate(1.2, 0.5), 1)
        attempts.append(
            {"number": number, "link": f"{scenario}--c{client}", "began_ms": now_ms, "took_ms": took_ms}
            | {"ending": ending}
        )
        now_ms = round(now_ms + took_ms, 1)
        if ending.startswith("ok"):
            told, replayed = "ok", "replayed" in ending
            break
        now_ms = round(now_ms + rng.uniform(10, 60), 1)
    append = rng.random() < 0.5
    return {
        "name": name,
        "client": client,
        "lane": 0,
        "method": "kv.append" if append else "kv.increment",
        "key": f"log/{rng.randrange(3)}" if append else f"n/{name}",
        "told": told,
        "reason": "" if told == "ok" else "the deadline passed",
        "replayed": replayed,
        "result": {"version": 1, "offset": 0} if told == "ok" else None,
        "effects": effects,
        "began_ms": round(began_ms, 1),
        "took_ms": round(now_ms - began_ms, 1),
        "attempts": attempts,
    }


def _attempt(scenario: str, column: str, at_ms: float, effects: int) -> tuple[str, int]:
    """How an attempt at that time ends, and whether it adds an effect."""
    is_safe = column in ("at-most-once", "exactly-once")
    if scenario == "healthy" or not 400 <= at_ms <= 1100:
        forgets = column == "at-most-once/memory" and scenario == "crash-after-commit"
        if effects and (is_safe or (column == "at-most-once/memory" and not forgets)):
            return "ok (replayed)", 0
        return "ok", 1
    if scenario == "lost-request":
        return "timed out", 0
    if scenario == "crash-after-commit" and at_ms > 600:
        return "not sent: connection refused", 0
    return "timed out", 0 if effects and column != "at-least-once" else 1


def _rows(calls: list[Json]) -> dict[str, Json]:
    rows: dict[str, Json] = {}
    for call in sorted(calls, key=lambda call: call["began_ms"]):
        for _ in range(call["effects"]):
            row = rows.setdefault(call["key"], {"value": "", "version": 0})
            row["version"] += 1
            row["value"] = row["value"] + f"{call['name']};" if "append" in call["method"] else str(row["version"])
    return rows


def _events(scenario: str, calls: list[Json], bands: list[tuple[float, float]]) -> list[Json]:
    """The history, in the order of time."""
    kinds = {"ok": "ok", "definite": "fail"}
    timed = [(begin, {"f": "begin"}) for begin, _ in bands] + [(end, {"f": "end"}) for _, end in bands]
    events = [
        (at_ms, {"process": "nemesis", "type": "info", **what, "value": f"{scenario}: 4 links"})
        for at_ms, what in timed
    ]
    for call in calls:
        about = {
            "process": call["client"],
            "f": call["method"][3:],
            "key": call["key"],
            "value": 1,
            "call": call["name"],
        }
        events.append((call["began_ms"], {**about, "type": "invoke"}))
        events.append((call["began_ms"] + call["took_ms"], {**about, "type": kinds.get(call["told"], "info")}))
    events.sort(key=lambda pair: pair[0])
    return [{"index": place, "time": int(at_ms * 1e6), **event} for place, (at_ms, event) in enumerate(events)]


def _write_lines(path: Path, lines: Iterable[Json]) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
