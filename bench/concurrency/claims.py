"""What the lecture claims of threads and events, each with the word that the figures give it, and why. Pure.

*held* or *not here* is decided by the thresholds below, from medians; the sentence names the figures that it stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import median

from bench.concurrency import background, blocked, cores, idle, slow
from bench.concurrency.names import BACKGROUND, BLOCKED, CALLS, CORES, DISK, EVENTS, IDLE, SLOW, THREADS
from bench.report.result_set import ResultSet
from bench.report.table import number

__all__ = ["claims_text"]

GAIN_HELD = 16.0
"""So many times one connection's calls: more at once than the handful that a small pool gives."""
CORES_HELD = 1.5
BESIDE_HELD = 0.9
STALLED_MS = blocked.SLEEP_MS / 2
FEWER_HELD = 0.5

Claim = Callable[[ResultSet], str]


def claims_text(result_set: ResultSet) -> str:
    """One paragraph a claim; nothing where nothing was measured."""
    paragraphs = [claim(result_set) for claim in (_io, _disk, _cores, _background, _blocked, _idle)]
    return "".join(f"\n{paragraph}\n" for paragraph in paragraphs if paragraph)


def _median(result_set: ResultSet, part: str, row: str, column: str) -> float | None:
    values = result_set.values(part, row, column)
    return median(values) if values else None


def _word(held: bool) -> str:
    return "**held**" if held else "**not here**"


def _curve(result_set: ResultSet, part: str, model: str) -> dict[int, float]:
    columns = result_set.parts[part].columns if part in result_set.parts else []
    found = {int(column.split()[0]): _median(result_set, part, model, column) for column in columns}
    return {count: value for count, value in found.items() if value is not None}


def _io(result_set: ResultSet) -> str:
    said = []
    for model in (THREADS, EVENTS):
        curve = _curve(result_set, SLOW, model)
        if len(curve) < 2 or not curve[min(curve)]:
            continue
        few, many = min(curve), max(curve)
        gain, bend = curve[many] / curve[few], _bend(curve)
        said.append(
            f"{model} {_word(gain >= GAIN_HELD)}: {number(curve[few])} calls/s with {few} connection, "
            f"{number(curve[many])} with {many} ({number(gain)}×; {_why_bend(bend, many)})"
        )
    if not said:
        return ""
    return (
        f"*I/O concurrency: while one call waits for the store, others run.* {'; '.join(said)}. Each call waits"
        f" {slow.SLEEP_MS} ms and nothing else; what waits needs no processor, so as many wait at once as there are"
        " threads, or callbacks, to wait."
    )


def _bend(curve: dict[int, float]) -> int:
    """The number of connections from which on more of them bring less than half of their share."""
    counts = sorted(curve)
    for before, after in pairwise(counts):
        if curve[after] / curve[before] < 1 + (after / before - 1) / 2:
            return before
    return counts[-1]


def _why_bend(bend: int, many: int) -> str:
    if bend == many:
        return "it grows all the way"
    return f"it bends at {bend}: from there on something else is scarce, the processor or the threads that may wait"


def _disk(result_set: ResultSet) -> str:
    curve = _curve(result_set, DISK, THREADS)
    if len(curve) < 2 or not curve[min(curve)]:
        return ""
    few, many = min(curve), max(curve)
    gain = curve[many] / curve[few]
    events = _curve(result_set, DISK, EVENTS)
    beside = f" (event-loop: {number(events[many])})" if events else ""
    return (
        f"*The same on the real disk.* {_word(gain >= 2)}: {number(curve[few])} calls/s with {few} connection,"
        f" {number(curve[many])} with {many}{beside}. One writer holds the store, so calls do not overlap inside it;"
        " they gain because all that wait share one commit, and its sync."
    )


def _cores(result_set: ResultSet) -> str:
    said = []
    for model in (THREADS, EVENTS):
        for column, what in ((cores.LIST, "pages"), (cores.PUT, "writes")):
            one, two = (_median(result_set, CORES, cores.row(model, workers), column) for workers in (1, 2))
            if one and two:
                said.append(f"{model}, {what} {_word(two / one >= CORES_HELD)}: {number(two / one)}×")
    if not said:
        return ""
    return (
        f"*Multicore: two workers do twice the work of one.* {'; '.join(said)}. One process has one interpreter lock"
        " and so about one core, whatever its threads; a second process has a second. The load generator takes its"
        f" part of {result_set.facts['machine']['cores']} cores, and writes of both workers wait for the store's one writer."
    )


def _background(result_set: ResultSet) -> str:
    said, shares = [], []
    for model in (THREADS, EVENTS):
        quiet = _median(result_set, BACKGROUND, background.row(model, background.QUIET), CALLS)
        for beside in (background.SWEEP, background.CHECKPOINTS):
            label = background.row(model, beside)
            found, p99 = (
                _median(result_set, BACKGROUND, label, CALLS),
                _median(result_set, BACKGROUND, label, background.P99),
            )
            if quiet and found and p99 is not None:
                share = found / quiet
                if share < BESIDE_HELD and _overlap(result_set, label, background.row(model, background.QUIET)):
                    said.append(f"{label} **unclear**: {number(100 * share)} %, within the spread of the rounds")
                    continue
                shares.append(share)
                said.append(f"{label} {_word(share >= BESIDE_HELD)}: {number(100 * share)} %, p99 {number(p99)} ms")
    if not said:
        return ""
    why = (
        "The sweep is done in portions of a hundred sessions, inside a group that commits anyway; a checkpoint"
        " takes no lock that a writer needs."
        if min(shares, default=1.0) >= BESIDE_HELD
        else "It is not beside the calls but among them: a portion of the sweep is part of a group, and all of that"
        " group wait for it; a checkpoint shares the disk and the cores with the commits."
    )
    return (
        f"*Background work goes on beside the calls.* Calls/s against an undisturbed server: {'; '.join(said)}. {why}"
    )


def _overlap(result_set: ResultSet, one: str, other: str) -> bool:
    """Whether the slower one's best round was as good as the other's worst."""
    return max(result_set.values(BACKGROUND, one, CALLS)) >= min(result_set.values(BACKGROUND, other, CALLS))


def _blocked(result_set: ResultSet) -> str:
    said = []
    for model, claimed in ((THREADS, "the others go on"), (EVENTS, "everyone waits")):
        for count in blocked.COUNTS[1:]:
            p99, longest = (
                _median(result_set, BLOCKED, blocked.row(model, count), name) for name in (blocked.P99, blocked.LONGEST)
            )
            if p99 is None or longest is None:
                continue
            stalled = longest >= STALLED_MS
            word = _word(stalled == (claimed == "everyone waits"))
            said.append(
                f"{model}, {count} blocked: “{claimed}” {word}, the longest of the others' reads took"
                f" {number(longest)} ms (p99 {number(p99)} ms)"
            )
    if not said:
        return ""
    return (
        f"*A handler that blocks: on an event loop everyone waits, with threads the others go on.* {'; '.join(said)}. A"
        " loop is only stopped by what runs on it: what may wait is handed to a few threads, and when more of them"
        " stand still than there are, whoever needs one stands behind them. A thread that stands still holds itself."
    )


def _idle(result_set: ResultSet) -> str:
    part = result_set.parts.get(IDLE)
    if part is None:
        return ""
    found = {row.partition(",")[0]: median(part.values(row, idle.BYTES)) for row in part.rows}
    more = {row.partition(",")[0]: median(part.values(row, idle.THREADS_MORE)) for row in part.rows}
    figures = "; ".join(
        f"{model}: {number(size)} bytes, {more[model]:.0f} threads more" for model, size in found.items()
    )
    if len(found) < 2:
        return f"*An idle connection costs a thread's memory.* {figures}. There is no other model here to compare."
    fewer = found[EVENTS] <= FEWER_HELD * found[THREADS]
    why = (
        "A connection of the loop is a few objects."
        if fewer
        else "The threads are a pool behind the HTTP server's own event loop: an idle connection holds none of them."
    )
    return f"*Events cost less memory than threads for each idle connection.* {_word(fewer)}: {figures}. {why}"
