"""The verdict on one cell, from its evidence files alone: so a run can be judged again, later and elsewhere.

What is held against what: the calls against the store (`judge`), the history against the model (`checker`), the bank's
ledger against what callers were told (`bank_ledger`), reads of all accounts against their total, lanes against the
order in which they called; and the whole against what the scenario expects of the cell: a fault that fired, a control
that is red. Limit: where the checker finds no answer in its bounds, the verdict is unknown, and an unknown verdict
fails the cell.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from chaos import evidence
from chaos.evidence import CallRecord, CellRecord, Counts, StoreRecord
from chaos.judging.bank_ledger import disagreements
from chaos.judging.checker import HistoryError, Verdict, check, models, parse, report
from chaos.judging.checker.counts import out_of_order, total_not_conserved
from chaos.judging.checker.explain import in_words
from chaos.judging.judge import SHOWN_MAX, found_in, judge, shortened

__all__ = ["Cell", "judge_cell"]

LINEARIZATION = "linearization.json"
CHECK_MAX_S = 20.0
DUMP = "dump"  # who reads the store last, in the history
NOT_FIRED = "the fault did not fire"
WORDS = {True: "yes", False: "no", None: "unknown"}


@dataclass
class Cell:
    """What one cell measured, judged. Where it could not be measured, `problems` says why; then it proves nothing."""

    scenario: str
    column: str
    folder: str
    repeat: str
    teaches: str
    control: bool
    promise: str = ""
    """What must become of it: "must hold", "may break" or "must break"."""
    calls: int = 0
    attempts: int = 0
    effects: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    fired: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    proof: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    kept: bool = False
    red: bool = False
    linearizable: str = ""
    """"yes", "no", "unknown"; empty where the semantics promises no such thing, and for the bank."""
    violations: list[str] = field(default_factory=list)
    violated_after: int | None = None
    """How many calls had ended with the first wrong one; all, where only the end shows it."""
    problems: list[str] = field(default_factory=list)
    """Why the run must fail because of this cell; empty when it came out as it must."""
    missed: bool = False
    """The fault found nothing to strike, and so it was not measured."""
    inconclusive: list[str] = field(default_factory=list)
    """Of each earlier try, which told nothing of the system: why."""
    took_s: float = 0.0

    @property
    def tells_nothing(self) -> bool:
        """The fault found nothing to strike, and nothing else was wrong: that tells of the machine alone."""
        return (self.missed or (NOT_FIRED in self.problems and self.kept)) and not self.unsteady

    @property
    def good(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


def judge_cell(folder: Path) -> Cell:
    """Judge what lies in `folder`, and leave the linearization there. What is damaged is a problem of the cell.

    Raises OSError and msgspec.DecodeError where not even cell.json can be read.
    """
    record = evidence.read_cell(folder)
    cell = Cell(
        scenario=record.scenario,
        column=record.column,
        folder=folder.name,
        repeat=record.repeat,
        teaches=record.teaches,
        control=record.expected.red or record.expected.broken,
        promise=record.expected.promise,
        fired=record.fired,
        counts=msgspec.to_builtins(record.counts) if record.counts != Counts() else {},
        proof=record.proof,
        unsteady=record.unsteady,
        missed=record.missed,
        inconclusive=record.inconclusive,
        took_s=record.took_s,
    )
    if record.hindrance:
        cell.problems.append(record.hindrance)
        return cell
    try:
        found = _Evidence(
            evidence.read_calls(folder), evidence.read_history(folder), evidence.read_store(folder), folder
        )
        cell.problems += _holes(record, found)
    except (OSError, msgspec.DecodeError, KeyError) as error:
        cell.problems.append(f"the evidence is damaged: {error}")
        return cell
    _judge(cell, record, found)
    return cell


@dataclass(frozen=True)
class _Evidence:
    calls: Sequence[CallRecord]
    history: Sequence[dict[str, Any]]
    store: StoreRecord
    folder: Path

    @property
    def writes(self) -> list[CallRecord]:
        return [call for call in self.calls if call.token is not None]


def _judge(cell: Cell, record: CellRecord, found: _Evidence) -> None:
    _figures(cell, found.writes)
    lost = False
    try:
        lost = _hold_against_the_promise(cell, record, found)
        _hold_against_the_history(cell, record, found)
    except (HistoryError, ValueError, TypeError, KeyError, AttributeError) as error:
        cell.violations.append(f"an answer that is none: {error!r}")
    if cell.violations and cell.violated_after is None:
        cell.violated_after = cell.calls
    cell.kept = not cell.violations
    cell.problems += _problems(cell, record, lost=lost)


def _holes(record: CellRecord, found: _Evidence) -> list[str]:
    """What is not there, or there and of nobody."""
    due, names = record.expected.calls, {call.name for call in found.calls}
    invoked = {event["call"] for event in found.history if event["type"] == "invoke" and "call" in event} - {DUMP}
    tokens = [token for row in found.store.rows.values() for token in row.value.split(";") if ";" in row.value]
    effects = {*filter(None, tokens), *(key[2:] for key in found.store.rows if key.startswith("n/"))}
    holes = []
    if not found.writes or (due is not None and len(found.writes) != due):
        holes.append(f"the evidence has {len(found.writes)} calls of {due or 'some'}")
    if invoked != names:
        holes.append(f"history and calls tell of different calls: {', '.join(sorted(invoked ^ names)[:SHOWN_MAX])}")
    if strangers := sorted(effects - names):
        holes.append(f"the store has effects of calls that nobody made: {', '.join(strangers[:SHOWN_MAX])}")
    return holes


def _figures(cell: Cell, writes: Sequence[CallRecord]) -> None:
    latencies_ms = sorted(call.took_ms for call in writes) or [0.0]
    cell.calls = len(writes)
    cell.attempts = sum(len(call.attempts) for call in writes)
    cell.p50_ms = round(statistics.median(latencies_ms), 1)
    cell.p99_ms = round(latencies_ms[min(len(latencies_ms) - 1, len(latencies_ms) * 99 // 100)], 1)


def _hold_against_the_promise(cell: Cell, record: CellRecord, found: _Evidence) -> bool:
    """Whether an acknowledged call was lost."""
    calls = [found_in(found.store, call) for call in found.writes]
    judgement = judge(record.semantics, calls, may_say_unknown=record.expected.unknown != "never")
    cell.effects, cell.told, cell.red = judgement.effects, judgement.told, judgement.red
    cell.violations += judgement.violations
    if judgement.first is not None:
        cell.violated_after = judgement.first + 1
    return judgement.lost


def _problems(cell: Cell, record: CellRecord, *, lost: bool) -> list[str]:
    """Why this cell must fail the run."""
    expected, unknown = record.expected, cell.told.get("unknown", 0)
    problems = {
        NOT_FIRED: expected.fault and cell.fired < 1,
        "the promise was broken": not cell.kept and not expected.excused,
        "acknowledged calls were lost, which nothing excuses here": lost and expected.excused and not expected.broken,
        "no acknowledged call was lost, and some must be": expected.lost and not lost,
        "calls were doubled, where they may be lost and no more": expected.lost and cell.red,
        "the control stayed green: the promise was kept": cell.kept and expected.broken,
        "the control stayed green: no call was doubled": expected.red and not cell.red,
        f"{unknown} calls were told unknown, and there was time enough": unknown and expected.unknown == "never",
        "no call was told unknown, and nobody could have told": not unknown and expected.unknown == "must",
        "nothing failed, and yet some call was not told ok at once": expected.calm
        and (cell.told.get("ok"), cell.attempts) != (cell.calls, cell.calls),
        f"the checker found no answer within {CHECK_MAX_S:g} s": cell.linearizable == "unknown"
        and not expected.excused,
    }
    unsteady = [f"the steady state: {wrong}" for wrong in record.unsteady]
    return [*unsteady, *(problem for problem, is_so in problems.items() if is_so)]


def _hold_against_the_history(cell: Cell, record: CellRecord, found: _Evidence) -> None:
    """What the counts alone cannot show: orders that no single copy of the data could have, and totals that moved."""
    if record.accounts:
        reads = [(call.name, _balances(record, call)) for call in found.calls if call.token is None and call.result]
        last = {account: int(found.store.rows[account].value) for account in record.accounts}
        total = sum(record.accounts.values())
        cell.violations += shortened(total_not_conserved([*reads, (DUMP, last)], list(record.accounts), total))
        if record.service == "bank":
            cell.violations += shortened(disagreements(record.accounts, found.store.transfers, last, [*found.writes]))
    if record.service == "kv" and record.semantics != "at-least-once":
        model = models()["kv"]
        verdict = check(parse(found.history, model), model, time.monotonic, timeout_s=CHECK_MAX_S)
        cell.linearizable = WORDS[None if verdict.is_empty else verdict.holds]
        _write_linearization(verdict, found.folder)
        if verdict.holds is False:
            cell.violations.append(f"the history is not linearizable: {_first_reason(verdict)}")
            first = min(key.counterexample.line for key in verdict.keys if key.counterexample)
            _wrong_from(cell, _ended_by(found.history, first))
        cell.violations += shortened(_out_of_order(found))


def _balances(record: CellRecord, read: CallRecord) -> dict[str, int]:
    result = read.result or {}
    if "accounts" in result:
        return {account: int(result["accounts"][account]) for account in record.accounts}
    rows = result["results"]
    return {account: int(row["value"]) for account, row in zip(record.accounts, rows, strict=True)}


def _wrong_from(cell: Cell, calls: int) -> None:
    cell.violated_after = calls if cell.violated_after is None else min(calls, cell.violated_after)


def _ended_by(history: Sequence[dict[str, Any]], line: int) -> int:
    """How many calls that change something had ended with that line."""
    ended = [event for event in history[:line] if event["process"] != "nemesis" and event["type"] != "invoke"]
    return len({event["call"] for event in ended if event["f"] != "get" and "call" in event})


def _out_of_order(found: _Evidence) -> list[str]:
    """Lanes whose tokens stand in another order than they were appended in."""
    appended = [call for call in sorted(found.writes, key=lambda call: call.began_ms) if call.token]
    violations = []
    for log in {call.key for call in appended}:
        lanes: dict[str, list[tuple[str, bool]]] = {}
        for call in appended:
            if call.key == log:
                lane = lanes.setdefault(f"client {call.client}, lane {call.lane}", [])
                lane.append((call.token or "", call.told == "ok"))
        value = found.store.rows[log].value if log in found.store.rows else ""
        violations += out_of_order([f"{token};" for token in value.split(";") if token], lanes)
    return violations


def _first_reason(verdict: Verdict) -> str:
    bad = next(key for key in verdict.keys if key.holds is False)
    assert bad.counterexample is not None
    obstacles = bad.counterexample.obstacles
    return f"key {bad.key}: {in_words(bad.counterexample.last)}" + (f": {obstacles[0].reason}" if obstacles else "")


def _write_linearization(verdict: Verdict, folder: Path) -> None:
    keys = {
        key.key: {
            "verdict": WORDS[key.holds],
            "order": [in_words(operation) for operation in key.order],
            "reason": "" if key.holds else report(Verdict(verdict.model, (key,))),
        }
        for key in verdict.keys
    }
    content = {"verdict": WORDS[verdict.holds], "keys": keys}
    (folder / LINEARIZATION).write_bytes(msgspec.json.encode(content) + b"\n")
