"""A recorded cell as a journal: the events of its calls, at a speed that a person can follow. From its files alone.

Times are stretched, and their order kept: what overlapped overlaps. How far an attempt without an answer came is told
only as far as the evidence proves it (`chaos.report.proof`); `proven` is false where it does not.

Limit: a reply that nobody received is not drawn, for the evidence does not tell whether there was one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chaos.evidence import CELL, CellRecord
from chaos.live.journal import FORMAT
from chaos.live.sentences import facts
from chaos.report.labels import ANSWERED, REPLAYED, ending_of
from chaos.report.proof import MAYBE, NO_EFFECT, RAN, UNSENT, fates, has_copies
from chaos.report.records import Band, Call, CellEvidence, Figures, read_cell

__all__ = ["EvidenceUnreadable", "Recorded", "read_recorded"]

GAP_MIN_MS, GAP_MAX_MS, STRETCH = 180.0, 1_200.0, 8.0
Event = dict[str, Any]


class EvidenceUnreadable(Exception):
    """The folder is no cell's; the message says so, in one line."""


class _At(NamedTuple):
    ms: float
    order: int
    event: Event


class Recorded(NamedTuple):
    """events: without numbers, in order, with `t` from 0. summary: what came of it, in a sentence."""

    title: str
    teaches: str
    summary: str
    events: list[Event]


def read_recorded(folder: Path, calls_max: int | None = None) -> Recorded:
    """The cell whose evidence stands in that folder; of many calls those that were hit. Raises EvidenceUnreadable."""
    try:
        record = msgspec.json.decode((folder / CELL).read_bytes(), type=CellRecord)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise EvidenceUnreadable(f"{folder} is no folder of a cell: its {CELL} cannot be read ({error})") from None
    figures = Figures(record.scenario, record.column, folder.name)
    evidence = read_cell(folder.parent, figures)
    if not evidence.calls:
        raise EvidenceUnreadable(f"{folder} has no calls that can be read; run the cell again: {record.repeat}")
    writes = [call for call in evidence.calls if not call.is_read]
    chosen = writes if calls_max is None else _hit(writes, calls_max)
    copies = has_copies(writes)
    timeline = _stretched([*_of_calls(chosen, copies), *_of_faults(evidence.bands, chosen)])
    title = f"{record.scenario} × {record.column}"
    events = [_world(record, chosen, title), *_counted(timeline, record, chosen)]
    return Recorded(title, record.teaches, _summary(writes, evidence), events)


def _world(record: CellRecord, calls: Sequence[Call], title: str) -> Event:
    clients = sorted({f"c{call.client}" for call in calls})
    return {
        "t": 0.0, "type": "world", "format": FORMAT, "run": f"cell-{record.seed}", "version": "",
        "runtime": record.runtime, "store": record.store, "semantics": record.semantics, "clients": clients,
        "servers": ["s0"],
        "links": [{"id": client, "client": client, "server": "s0"} for client in clients], "scenes": [],
        "pace": {"mode": "run", "travel_ms": 500}, "command": record.repeat, "opened": True, "played": title,
    }  # fmt: skip


def _hit(calls: Sequence[Call], calls_max: int) -> list[Call]:
    """Those with the most to see, and the first two, in the order in which they began."""
    plain = [call for call in calls if not _is_odd(call)][:2]
    odd = [call for call in calls if _is_odd(call)]
    few = [call for call in odd if len(call.attempts) <= 4] or odd
    return sorted([*plain, *few[: calls_max - len(plain)]], key=lambda call: call.began_ms)


def _is_odd(call: Call) -> bool:
    return len(call.attempts) != 1 or call.told != "ok" or call.ran != 1 or call.replayed


def _of_calls(calls: Iterable[Call], copies: bool) -> Iterator[_At]:
    numbers = itertools.count(1)
    for call in calls:
        client = f"c{call.client}"
        began = {"type": "call", "call": call.name, "client": client, "method": call.method, "key": call.key}
        yield _At(call.began_ms, 0, {**began, "value": call.token or "+1"})
        for attempt, fate in zip(call.attempts, fates(call, copies), strict=True):
            ending = ending_of(attempt.ending)
            is_answered = ending in (ANSWERED, REPLAYED) or attempt.ending.startswith(("refused", "error"))
            middle_ms = attempt.began_ms + attempt.took_ms / 2
            message = {"call": call.name, "client": client, "server": "s0", "link": client, "attempt": attempt.number,
                       "copy": False}  # fmt: skip
            request = f"m{next(numbers)}"
            yield _At(attempt.began_ms, 1, {"type": "message", "id": request, "kind": "request", **message})
            yield _At(middle_ms, 2, {"type": "message-end", "id": request, **_end_of(fate, is_answered), "fate": fate})
            if is_answered:
                reply = f"m{next(numbers)}"
                said = {"outcome": "ok" if ending in (ANSWERED, REPLAYED) else attempt.ending.partition(": ")[2],
                        "replayed": ending is REPLAYED}  # fmt: skip
                yield _At(middle_ms, 3, {"type": "message", "id": reply, "kind": "reply", **message, **said})
                yield _At(
                    attempt.began_ms + attempt.took_ms,
                    4,
                    {"type": "message-end", "id": reply, "end": "arrived", "by": ""},
                )
        result = ", ".join(f"{name} {value}" for name, value in (call.result or {}).items())
        told = call.told if call.told in ("ok", "definite", "unknown") else "unknown"
        yield _At(call.ended_ms, 5, {
            "type": "told", "call": call.name, "client": client, "told": told, "attempts": len(call.attempts),
            "replayed": call.replayed, "error": call.reason, "result": result[:120],
        })  # fmt: skip


def _end_of(fate: str, is_answered: bool) -> Event:
    if is_answered or fate == RAN:
        return {"end": "arrived", "by": "", "proven": True}
    if fate == UNSENT:
        return {"end": "refused", "by": "server", "proven": True}
    return {"end": "lost", "by": "link", "proven": fate == NO_EFFECT and fate != MAYBE}


def _of_faults(bands: Sequence[Band], calls: Sequence[Call]) -> Iterator[_At]:
    first, last = calls[0].began_ms, max(call.ended_ms for call in calls)
    for band in bands:
        for ms, text in ((band.began_ms, "the fault goes in"), (band.ended_ms, "the fault is out")):
            yield _At(
                min(max(ms, first), last),
                6,
                {"type": "action", "by": "scene", "text": f"{text}: {band.label}", "command": ""},
            )


def _stretched(raw: Iterable[_At]) -> list[Event]:
    """In order, at a followable speed; messages learn how long they travel."""
    ordered = sorted(raw, key=lambda at: (at.ms, at.order))
    shown_ms, before_ms = 0.0, ordered[0].ms
    events = []
    for at in ordered:
        gap_ms = at.ms - before_ms
        shown_ms += min(max(gap_ms * STRETCH, GAP_MIN_MS), GAP_MAX_MS) if gap_ms > 0 else 0.0
        before_ms = at.ms
        events.append({"t": round(shown_ms, 1), **at.event})
    ends = {event["id"]: event["t"] for event in events if event["type"] == "message-end"}
    for event in events:
        if event["type"] == "message":
            event["travel_ms"] = round(max(1.0, ends[event["id"]] - event["t"]), 1)
    return events


def _counted(timeline: Iterable[Event], record: CellRecord, calls: Sequence[Call]) -> Iterator[Event]:
    """The same with the sums beside it. An effect counts from the moment at which its attempt is known to have run."""
    of_call = {call.name: call for call in calls}
    seen = dict.fromkeys(of_call, 0)
    told: dict[str, str] = {}
    calls_of: dict[str, str] = {}
    yield {"t": 0.0, "type": "step", **facts(record.teaches)}
    for event in timeline:
        fate = event.pop("fate", "")
        yield event
        if event["type"] == "message":
            calls_of[event["id"]] = event["call"]
        if event["type"] == "message-end" and fate == RAN:
            name = calls_of[event["id"]]
            seen[name] = min(seen[name] + 1, of_call[name].ran)
        elif event["type"] == "told":
            name = event["call"]
            seen[name], told[name] = of_call[name].ran, event["told"]
        else:
            continue
        client = of_call[name].client
        yield {"t": event["t"], "type": "effects", "call": name, "client": f"c{client}", "effects": seen[name]}
        yield {"t": event["t"], "type": "totals", **_sums(seen, told)}


def _sums(seen: dict[str, int], told: dict[str, str]) -> dict[str, int]:
    return {
        "done": sum(word == "ok" for word in told.values()),
        "effects": sum(seen.values()),
        "doubled": sum(count > 1 for count in seen.values()),
        "unknown": sum(word == "unknown" for word in told.values()),
        "lost": sum(word == "ok" and not seen[name] for name, word in told.items()),
    }


def _summary(calls: Sequence[Call], evidence: CellEvidence) -> str:
    sums = _sums({call.name: call.ran for call in calls}, {call.name: call.told for call in calls})
    text = (
        f"All {len(calls)} calls of the cell: {sums['done']} told ok, {sums['unknown']} unknown,"
        f" {sums['doubled']} doubled, {sums['lost']} told ok and not in the store."
    )
    return text + (f" {evidence.unread} lines could not be read." if evidence.unread else "")
