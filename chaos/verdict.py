"""The verdict on one cell, from its evidence files alone: so a run can be judged again, later and elsewhere.

What is held against what: the calls against the store (`judge`), the history against the model (`checker`), reads of
all accounts against their total, lanes against the order in which they called; and the whole against what the scenario
expects of the cell: a fault that fired, a control that is red. Limit: where the checker finds no answer in its bounds,
the verdict is unknown, and an unknown verdict fails the cell.
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
from chaos.checker import Verdict, check, models, parse, report
from chaos.checker.counts import out_of_order, unconserved
from chaos.checker.explain import in_words
from chaos.evidence import CallRecord, CellRecord, Counts, StoreRecord
from chaos.judge import Judgement, found_in, judge, shortened

__all__ = ["Cell", "judge_cell"]

LINEARIZATION = "linearization.json"
CHECK_MAX_S = 20.0


@dataclass
class Cell:
    """What one cell measured, judged. Where it could not be measured, `problems` says why; then it proves nothing."""

    scenario: str
    column: str
    folder: str
    repeat: str
    lecture: str
    control: bool
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
    """"yes", "no", "unknown"; empty where the semantics promises no such thing."""
    violations: list[str] = field(default_factory=list)
    violated_after: int | None = None
    """How many calls had ended with the first wrong one; all, where only the end shows it."""
    problems: list[str] = field(default_factory=list)
    """Why the run must fail because of this cell; empty when it came out as it must."""
    took_s: float = 0.0

    @property
    def good(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


def judge_cell(folder: Path) -> Cell:
    """Judge what lies in `folder`, and leave the linearization there. Raises OSError and msgspec.DecodeError."""
    record = evidence.read_cell(folder)
    expected = record.expected
    cell = Cell(
        scenario=record.scenario,
        column=record.column,
        folder=folder.name,
        repeat=record.repeat,
        lecture=record.lecture,
        control=expected.red or expected.broken,
        fired=record.fired,
        counts=msgspec.to_builtins(record.counts) if record.counts != Counts() else {},
        proof=record.proof,
        unsteady=record.unsteady,
        took_s=record.took_s,
    )
    store = evidence.read_store(folder)
    if store is None or record.hindrance:
        cell.problems.append(record.hindrance or "there is no dump of the store")
        return cell
    calls = evidence.read_calls(folder)
    _figures(cell, calls)
    judgement = _hold_against_the_promise(cell, record, calls, store)
    _hold_against_the_history(cell, record, calls, folder)
    cell.kept = not cell.violations
    cell.problems += _problems(cell, record, judgement)
    return cell


def _figures(cell: Cell, calls: Sequence[CallRecord]) -> None:
    writes = [call for call in calls if call.token is not None]
    latencies_ms = sorted(call.took_ms for call in writes) or [0.0]
    cell.calls = len(writes)
    cell.attempts = sum(len(call.attempts) for call in writes)
    cell.p50_ms = round(statistics.median(latencies_ms), 1)
    cell.p99_ms = round(latencies_ms[min(len(latencies_ms) - 1, len(latencies_ms) * 99 // 100)], 1)


def _hold_against_the_promise(
    cell: Cell, record: CellRecord, calls: Sequence[CallRecord], store: StoreRecord
) -> Judgement:
    writes = [found_in(store, call) for call in calls if call.token is not None]
    judgement = judge(record.semantics, writes, may_say_unknown=record.expected.unknown)
    cell.effects, cell.told, cell.red = judgement.effects, judgement.told, judgement.red
    cell.violations += judgement.violations
    if judgement.first is not None:
        cell.violated_after = judgement.first + 1
    return judgement


def _problems(cell: Cell, record: CellRecord, judgement: Judgement) -> list[str]:
    """Why this cell must fail the run."""
    expected = record.expected
    problems = [f"the steady state: {wrong}" for wrong in record.unsteady]
    if expected.fault and cell.fired < 1:
        problems.append("the fault did not fire")
    if not cell.kept and not expected.excused:
        problems.append("the promise was broken")
    if cell.kept and expected.broken:
        problems.append("the control stayed green: the promise was kept")
    if expected.red and not judgement.red:
        problems.append("the control stayed green: no call was doubled")
    if cell.linearizable == "unknown":
        problems.append(f"the checker found no answer within {CHECK_MAX_S:g} s")
    return problems


def _hold_against_the_history(cell: Cell, record: CellRecord, calls: Sequence[CallRecord], folder: Path) -> None:
    """What the store alone cannot show: orders that no single copy of the data could have, and totals that moved."""
    if record.accounts:
        reads = [(call.name, _balances(record, call)) for call in calls if call.token is None and call.result]
        cell.violations += shortened(unconserved(reads, list(record.accounts), sum(record.accounts.values())))
    if record.semantics != "at-least-once":
        history = evidence.read_history(folder)
        verdict = check(parse(history, models()["kv"]), models()["kv"], time.monotonic, timeout_s=CHECK_MAX_S)
        cell.linearizable = {True: "yes", False: "no", None: "unknown"}[verdict.holds]
        _write_linearization(verdict, cell, folder)
        if verdict.holds is False:
            cell.violations.append(f"the history is not linearizable: {_first_reason(verdict)}")
            _wrong_from(
                cell, _ended_by(history, min(key.counterexample.line for key in verdict.keys if key.counterexample))
            )
        cell.violations += shortened(_out_of_order(calls, folder))
    if cell.violations and cell.violated_after is None:
        cell.violated_after = cell.calls


def _balances(record: CellRecord, read: CallRecord) -> dict[str, int]:
    rows = (read.result or {})["results"]
    return {account: int(row["value"]) for account, row in zip(record.accounts, rows, strict=True)}


def _wrong_from(cell: Cell, calls: int) -> None:
    cell.violated_after = calls if cell.violated_after is None else min(calls, cell.violated_after)


def _ended_by(history: Sequence[dict[str, Any]], line: int) -> int:
    """How many calls that change something had ended with that line."""
    ended = [event for event in history[:line] if event["process"] != "nemesis" and event["type"] != "invoke"]
    return len({event["call"] for event in ended if event["f"] != "get" and "call" in event})


def _out_of_order(calls: Sequence[CallRecord], folder: Path) -> list[str]:
    """Lanes whose tokens stand in another order than they were appended in."""
    store = evidence.read_store(folder)
    appended = [call for call in sorted(calls, key=lambda call: call.began_ms) if call.token]
    violations = []
    for log in {call.key for call in appended}:
        lanes: dict[str, list[tuple[str, bool]]] = {}
        for call in appended:
            if call.key == log:
                lanes.setdefault(f"client {call.client}, lane {call.lane}", []).append(
                    (call.token or "", call.told == "ok")
                )
        value = store.rows[log].value if store and log in store.rows else ""
        violations += out_of_order([f"{token};" for token in value.split(";") if token], lanes)
    return violations


def _first_reason(verdict: Verdict) -> str:
    bad = next(key for key in verdict.keys if key.holds is False)
    assert bad.counterexample is not None
    obstacles = bad.counterexample.obstacles
    return f"key {bad.key}: {in_words(bad.counterexample.last)}" + (f": {obstacles[0].reason}" if obstacles else "")


def _write_linearization(verdict: Verdict, cell: Cell, folder: Path) -> None:
    words = {True: "yes", False: "no", None: "unknown"}
    keys = {
        key.key: {
            "verdict": words[key.holds],
            "order": [in_words(operation) for operation in key.order],
            "reason": "" if key.holds else report(Verdict(verdict.model, (key,))),
        }
        for key in verdict.keys
    }
    content = {"verdict": cell.linearizable, "keys": keys}
    (folder / LINEARIZATION).write_bytes(msgspec.json.encode(content) + b"\n")
