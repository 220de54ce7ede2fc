"""Recorded histories with known verdicts (Porcupine's test data), which lie beside the project and not in it.

They are in two notations of their own; `events` gives either as the events of docs/protocol.md, "Histories". In the
kv histories a key begins as "", which in ours is absent: a get of "" is a get of null.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "MISSING", "events", "model_of", "verdicts"]

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "histories"
MISSING = f"the recorded histories are not beside the project ({FOLDER}), so the checker is not held against them"

JEPSEN = re.compile(r"INFO\s+jepsen\.util - (\d+)\s+:(\w+)\s+:(\w+)\s+(.*)")
EDN = re.compile(r'\{:process (\d+), :type :(\w+), :f :(\w+), :key ("[^"]*"), :value (nil|"[^"]*")\}')


def verdicts() -> dict[str, bool]:
    """Of each history whether it is linearizable; empty where the folder does not exist."""
    if not FOLDER.exists():
        return {}
    with open(FOLDER / "verdicts.csv", encoding="utf-8", newline="") as table:
        return {row["history"]: row["linearizable"] == "true" for row in csv.DictReader(table)}


def model_of(name: str) -> str:
    """The model that the history is one of."""
    return "register" if name.startswith("jepsen/") else "kv"


def events(name: str) -> list[dict[str, Any]]:
    """The history as events."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    read = _register if model_of(name) == "register" else _kv
    return [{"index": index, "time": index, **event} for index, event in enumerate(read(lines))]


def _register(lines: list[str]) -> Iterator[dict[str, Any]]:
    asked: dict[int, Any] = {}
    for line in lines:
        if not (found := JEPSEN.match(line)):
            assert "jepsen" not in line or not line.strip(), line
            continue
        process, kind, f, text = int(found[1]), found[2], found[3], found[4].strip()
        value = asked.pop(process, None) if text == ":timed-out" else _value(text)
        if kind == "invoke":
            asked[process] = value
        yield {"process": process, "type": kind, "f": f, "value": value}


def _value(text: str) -> Any:
    return json.loads(text.replace("nil", "null").replace(" ", ", "))


def _kv(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        found = EDN.fullmatch(line.strip())
        assert found, line
        process, kind, f, key, text = found.groups()
        value = None if text == "nil" else json.loads(text)
        if f == "get" and value == "":
            value = None
        yield {"process": int(process), "type": kind, "f": f, "key": json.loads(key), "value": value}
