"""What the plots of a cell draw: the rows of each, by name; `specs` says how they are drawn. Pure.

    timeline       one lane a client; each attempt a bar, coloured by its ending, faults shaded
    latency        when each call began and how long it took, on a logarithmic scale
    distribution   which share of the calls had their answer after so long, of all: the others are missing

Limit: thousands of calls are thinned out, and `left_out` says so; the distribution has them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from chaos.report.labels import TOLD, ending_of, told_of
from chaos.report.records import Band, Call

__all__ = ["ATTEMPTS_MAX", "datasets", "left_out", "thinned"]

ATTEMPTS_MAX = 1200
CURVE_MAX = 160
ENDS = 6

Json = dict[str, Any]


def datasets(calls: Sequence[Call], bands: Sequence[Band]) -> Json:
    """The rows that the specifications draw, by name. Times in seconds on the x axis, in milliseconds as latencies."""
    shown = thinned(calls)
    lanes = _lanes(calls)
    tries = {call.name: len(call.attempts) for call in calls}
    end_ms = max((call.ended_ms for call in calls), default=0.0)
    return {
        "bands": _table(
            {"from": _s(band.began_ms), "to": _s(band.ended_ms), "fault": band.label}
            for band in bands
            if band.began_ms <= end_ms
        ),
        "calls": _table(_call(call, lanes, tries[call.name]) for call in shown),
        "attempts": _table(row for call in shown for row in _attempts(call, lanes)),
        "curve": _table(_curve(calls)),
        "lanes": _table({"lane": lane} for lane in dict.fromkeys(lanes.values())),
    }


def _table(rows: Iterable[Json]) -> Json:
    """The names of the columns once, and the rows without them: less than half as long."""
    found = list(rows)
    return {"columns": list(found[0]) if found else [], "rows": [list(row.values()) for row in found]}


def thinned(calls: Sequence[Call]) -> list[Call]:
    """As they are, or so that their attempts can be drawn: long calls lose attempts in their middle, then plain calls
    go, then others; evenly over time.
    """
    if sum(len(call.attempts) for call in calls) <= ATTEMPTS_MAX:
        return list(calls)
    short = [_shortened(call) for call in calls]
    telling = _spread([call for call in short if _is_telling(call)], ATTEMPTS_MAX)
    room = ATTEMPTS_MAX - sum(len(call.attempts) for call in telling)
    plain = _spread([call for call in short if not _is_telling(call)], room)
    return sorted([*telling, *plain], key=lambda call: call.began_ms)


def left_out(calls: Sequence[Call]) -> str:
    """What the plots do not show, in words; empty when they show it all."""
    shown = thinned(calls)
    before, after = (sum(len(call.attempts) for call in some) for some in (calls, shown))
    if before == after:
        return ""
    telling = sum(1 for call in calls if _is_telling(call))
    kept = sum(1 for call in shown if _is_telling(call))
    return (
        f"Thinned out: {len(shown):,} of {len(calls):,} calls and {after:,} of {before:,} attempts are drawn, "
        f"among them {kept:,} of the {telling:,} calls that took several attempts, ran twice or stayed unknown; "
        f"of more than {ENDS * 2} attempts, the first and the last {ENDS}. The distribution is of all calls."
    )


def _shortened(call: Call) -> Call:
    if len(call.attempts) <= ENDS * 2:
        return call
    return msgspec.structs.replace(call, attempts=[*call.attempts[:ENDS], *call.attempts[-ENDS:]])


def _is_telling(call: Call) -> bool:
    return len(call.attempts) != 1 or call.told != "ok" or call.effects not in (1, None) or call.replayed


def _spread(calls: Sequence[Call], room: int) -> list[Call]:
    """An even choice over time whose attempts have room."""
    attempts = sum(max(1, len(call.attempts)) for call in calls)
    step = max(1, math.ceil(attempts / max(1, room)))
    return list(calls[::step]) if room > 0 else []


def _lanes(calls: Sequence[Call]) -> dict[tuple[int | str, int | str], str]:
    """The name of each client's lane; a client with a single lane goes by its own name."""
    pairs = sorted({(call.client, call.lane) for call in calls}, key=lambda pair: tuple(map(_natural, pair)))
    clients = [client for client, _ in pairs]
    return {
        (client, lane): f"client {client}" if clients.count(client) == 1 else f"client {client}.{lane}"
        for client, lane in pairs
    }


def _natural(name: int | str) -> tuple[int, str]:
    return (name, "") if isinstance(name, int) else (-1, name)


def _call(call: Call, lanes: Mapping[tuple[int | str, int | str], str], tries: int) -> Json:
    took_ms = call.ended_ms - call.began_ms
    row: Json = {
        "call": call.name,
        "lane": lanes[call.client, call.lane],
        "from": _s(call.began_ms),
        "to": _s(call.ended_ms),
        "ms": max(0.1, round(took_ms, 2)),
        "kind": told_of(call).name,
        "told": told_of(call).meaning,
        "key": call.key,
        "tries": tries,
        "effects": "a read" if call.is_read else call.ran,
    }
    mark = f"{call.ran}×" if call.ran > 1 else "?" if told_of(call) is TOLD[-1] else ""
    return {**row, "mark": mark}


def _attempts(call: Call, lanes: Mapping[tuple[int | str, int | str], str]) -> list[Json]:
    return [
        {
            "call": call.name,
            "lane": lanes[call.client, call.lane],
            "key": call.key,
            "try": attempt.number,
            "from": _s(attempt.began_ms),
            "to": _s(attempt.began_ms + attempt.took_ms),
            "ms": round(attempt.took_ms, 1),
            "kind": ending_of(attempt.ending).name,
            "ending": attempt.ending,
            "link": attempt.link,
        }
        for attempt in call.attempts
    ]


def _curve(calls: Sequence[Call]) -> list[Json]:
    """The share of all calls that had an answer after so many milliseconds."""
    took = sorted(call.ended_ms - call.began_ms for call in calls if call.told in ("ok", "definite"))
    step = max(1, len(took) // CURVE_MAX)
    places = sorted({*range(0, len(took), step), *([len(took) - 1] if took else [])})
    return [{"ms": max(0.1, round(took[n], 2)), "share": round((n + 1) / len(calls), 4)} for n in places]


def _s(ms: float) -> float:
    return round(ms / 1000, 4)
