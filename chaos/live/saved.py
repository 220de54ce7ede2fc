"""A saved run, opened again: a journal's file, or the folder of a recorded cell. Whatever else it is, words say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from chaos.live.from_evidence import EvidenceUnreadable, read_recorded
from chaos.live.journal import FORMAT, Journal
from chaos.live.sentences import facts

__all__ = ["Foreign", "open_saved"]

BYTES_MAX = 512 * 1024 * 1024
LINE_BYTES_MAX = 1024 * 1024


class Foreign(Exception):
    """It cannot be opened; the message says what it is not, and what can be opened."""


def open_saved(path: Path, journal: Journal) -> None:
    """Its events, into the journal. Raises Foreign."""
    if path.is_dir():
        try:
            recorded = read_recorded(path)
        except EvidenceUnreadable as error:
            raise Foreign(
                f"{error}; --open takes a saved journal, or a cell's folder such as out/run/lost-reply--maybe"
            ) from None
        last = recorded.events[-1]["t"]
        for event in recorded.events:
            journal.take(event)
        journal.take({"t": last, "type": "step", **facts(recorded.summary)})
        return
    at_ms = 0.0
    for event in _events(path):
        at_ms = max(at_ms, float(event["t"]))
        journal.take({**event, "opened": True} if event["type"] == "world" else event)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """Raises Foreign."""
    way_out = "--open takes a file that the page's Save wrote (oncekv-live-….jsonl), or a run's journal.jsonl"
    try:
        with path.open("rb") as file:
            if path.stat().st_size > BYTES_MAX:
                raise Foreign(f"{path} is larger than {BYTES_MAX >> 20} MiB; {way_out}")
            first = _event(file.readline(LINE_BYTES_MAX))
            if first is None or first["type"] != "world" or first.get("format") != FORMAT:
                said = first.get("format") if first else None
                of_other = f"it says {said!r} and not {FORMAT!r}" if said else "its first line is no world event"
                raise Foreign(f"{path} is no saved run of this program: {of_other}; {way_out}")
            yield first
            number, last_ms = 1, first["t"]
            while line := file.readline(LINE_BYTES_MAX):
                number += 1
                event = _event(line)
                if event is None:
                    text = f"{path.name} is cut or damaged at line {number}; what stands before it is shown"
                    yield {"t": last_ms, "type": "problem", "text": text}
                    return
                last_ms = event["t"]
                yield event
    except OSError as error:
        raise Foreign(f"{path} cannot be read ({error.strerror}); {way_out}") from None


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    return event if isinstance(event.get("t"), int | float) else None
