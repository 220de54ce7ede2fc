"""The counts and the dedup table of the live page: what callers were told, what the store holds, its records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from chaos.live import effect_counts as counts_module
from chaos.live.effect_counts import CountedCall, EffectCounts
from chaos.live.journal import Journal
from chaos.live.records import Records
from chaos.live.store_file import RecordSeen
from chaos.net.replies import ReplySummary


class _Store:
    """Values of keys; `is_away`: nobody can look."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.is_away = False

    def read(self, keys: Sequence[str]) -> dict[str, str] | None:
        return None if self.is_away else {key: self.values[key] for key in keys if key in self.values}


def _counts(store: _Store) -> EffectCounts:
    return EffectCounts(Journal(), store.read, lambda _call, _more: None)


def _call(counts: EffectCounts, name: str, method: str = "kv.append", key: str = "list") -> None:
    counts.begin(CountedCall(name, name.partition("-")[0], method, key))


def test_done_and_effects_part_where_a_call_ran_twice() -> None:
    """Counted in the store, by the call's own name, and c0-1 is not c0-11."""
    store = _Store()
    counts = _counts(store)
    for name in ("c0-1", "c0-11"):
        _call(counts, name)
        counts.told(name, "ok")
    store.values["list"] = "c0-1;apple;c0-11;c0-11;"
    counts.count()
    assert counts.sums == {"done": 2, "effects": 3, "doubled": 1, "unknown": 0, "lost": 0}


def test_the_effects_of_a_call_are_told_when_they_change_and_again_when_asked() -> None:
    """None, one, two, and gone with the disk; a page that comes anew is told of those that are there."""
    store, journal = _Store(), Journal()
    counts = EffectCounts(journal, store.read, lambda _call, _more: None)
    _call(counts, "c0-1")
    for value in ("", "c0-1;", "c0-1;", "c0-1;c0-1;"):
        store.values["list"] = value
        counts.touched("c0-1")
        counts.count()
    counts.tell()
    store.values.clear()
    counts.touched_all()
    counts.count()
    counts.tell()
    told = [(one["call"], one["client"], one["effects"]) for one in journal.events_after(0) if one["type"] == "effects"]
    assert told == [("c0-1", "c0", 1), ("c0-1", "c0", 2), ("c0-1", "c0", 2), ("c0-1", "c0", 0)]


def test_a_call_that_was_told_ok_and_is_not_there_is_lost() -> None:
    """The disk was lost; and what was never told is not lost, but unknown."""
    store = _Store()
    counts = _counts(store)
    store.values = {"list": "c0-1;", "count/c0-2": "2"}
    _call(counts, "c0-1")
    _call(counts, "c0-2", "kv.increment", "count/c0-2")
    counts.told("c0-1", "ok")
    counts.told("c0-2", "unknown")
    counts.count()
    assert counts.sums == {"done": 1, "effects": 3, "doubled": 1, "unknown": 1, "lost": 0}
    store.values.clear()
    counts.touched_all()
    counts.count()
    assert counts.sums == {"done": 1, "effects": 0, "doubled": 0, "unknown": 1, "lost": 1}


def test_while_nobody_can_look_into_the_store_nothing_is_said_to_be_lost() -> None:
    """It is counted when the store is back."""
    store = _Store()
    counts = _counts(store)
    _call(counts, "c0-1")
    store.is_away = True
    counts.touched("c0-1")
    counts.count()
    assert counts.sums["effects"] == 0
    store.is_away, store.values = False, {"list": "c0-1;"}
    counts.count()
    assert counts.sums["effects"] == 1


def test_of_a_long_run_the_sums_stay_and_the_calls_go() -> None:
    """Memory is bounded, and nothing is counted less for it."""
    store = _Store()
    counts = _counts(store)
    calls = counts_module.CALLS_MAX + 500
    for number in range(calls):
        name = f"c0-{number}"
        store.values["list"] = f"{name};{name};"
        _call(counts, name)
        counts.told(name, "ok")
        counts.count()
    assert len(counts._calls) == counts_module.CALLS_MAX
    assert (counts.sums["done"], counts.sums["effects"], counts.sums["doubled"]) == (calls, 2 * calls, calls)


def _body(seq: int, acked: int, session: str = "s") -> bytes:
    return json.dumps({"params": {"_meta": {"session": session, "seq": seq, "acked": acked}}}).encode()


def _rows(journal: Journal) -> list[tuple[str, str, str]]:
    events: list[dict[str, Any]] = [json.loads(line) for line in journal.lines()]
    return [(event["row"], event["change"], event["why"]) for event in events if event["type"] == "record"]


def test_a_row_comes_is_hit_and_goes() -> None:
    """As the store has it, named by the client and the number of its call."""
    journal, there = Journal(), list[RecordSeen]()
    records = Records("s0", journal, lambda: there)
    records.arrived("c0", "c0-1", _body(1, 0))
    there.append(RecordSeen("s", 1, '{"version":1}'))
    records.look()
    records.answered(_body(1, 0), ReplySummary("replayed"))
    assert records.has("c0-1")
    records.arrived("c0", "c0-2", _body(2, 1))
    there[:] = [RecordSeen("s", 2, "{}")]
    records.look()
    there.clear()
    records.look()
    assert _rows(journal) == [
        ("c0/1", "added", ""), ("c0/1", "hit", ""), ("c0/1", "gone", "acknowledged"), ("c0/2", "added", ""),
        ("c0/2", "gone", "expired"),
    ]  # fmt: skip


def test_without_a_look_into_the_store_rows_are_made_of_the_messages() -> None:
    """The reply that settles a call brings its row, and a later request takes it away."""
    journal = Journal()
    records = Records("s0", journal, None)
    records.arrived("c0", "c0-1", _body(1, 0))
    records.answered(_body(1, 0), ReplySummary("ok", {"version": 1}))
    records.look()
    records.answered(_body(1, 0), ReplySummary("replayed"))
    records.answered(_body(5, 0, "other"), ReplySummary("overloaded"))
    records.arrived("c0", "c0-2", _body(2, 1))
    assert _rows(journal) == [("c0/1", "added", ""), ("c0/1", "hit", ""), ("c0/1", "gone", "acknowledged")]


def test_requests_without_identity_or_sense_leave_no_row() -> None:
    """At-least-once has none; and a body that is no request does no harm."""
    journal = Journal()
    records = Records("s0", journal, None)
    for body in (b"", b"[]", b'{"params": []}', b'{"params": {"key": "k"}}', b'{"params": {"_meta": {"seq": "x"}}}'):
        records.arrived("c0", "c0-1", body)
        records.answered(body, ReplySummary("ok", {}))
    assert _rows(journal) == []
