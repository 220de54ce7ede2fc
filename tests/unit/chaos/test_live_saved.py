"""A saved run, opened again: the same events, or words that say what is wrong with the file."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from chaos import evidence
from chaos.evidence import AttemptRecord, CallRecord, CellRecord, Expected, StoreRecord
from chaos.live.from_evidence import EvidenceUnreadable, read_recorded
from chaos.live.journal import Journal
from chaos.live.saved import Foreign, open_saved


def _saved(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _opened(path: Path) -> list[dict[str, Any]]:
    journal = Journal()
    open_saved(path, journal)
    return [json.loads(line) for line in journal.lines()]


def _run(path: Path) -> Path:
    """As the page saves one."""
    journal = Journal()
    journal.add("world", format="oncekv-live/1", opened=False)
    journal.add("call", call="c0-1")
    journal.add("told", call="c0-1", told="ok")
    path.write_bytes(b"".join(journal.lines()))
    return path


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    """Every event with its time, and marked as opened."""
    path = _run(tmp_path / "saved.jsonl")
    before = [json.loads(line) for line in path.read_bytes().splitlines()]
    after = _opened(path)
    assert after == [{**before[0], "opened": True}, *before[1:]]


def test_a_run_that_was_cut_is_opened_as_far_as_it_goes(tmp_path: Path) -> None:
    """And says so."""
    path = _run(tmp_path / "saved.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    after = _opened(path)
    assert [event["type"] for event in after] == ["world", "call", "problem"]
    assert after[-1]["text"] == "saved.jsonl is cut or damaged at line 3; what stands before it is shown"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its first line is no world event"),
        ("\x00\x01\x02", "its first line is no world event"),
        ("[1]\n", "its first line is no world event"),
        ('{"type": "call", "t": 1}\n', "its first line is no world event"),
        ('{"type": "world", "t": "soon"}\n', "its first line is no world event"),
        ('{"type": "world", "t": 1, "format": "oncekv-live/7"}\n', "it says 'oncekv-live/7' and not 'oncekv-live/1'"),
        ("{" * 100_000, "its first line is no world event"),
    ],
)
def test_a_foreign_file_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    """What it is not, and what can be opened."""
    with pytest.raises(Foreign) as refused:
        _opened(_saved(tmp_path / "foreign.jsonl", text))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A file, and a folder that is no cell's."""
    with pytest.raises(Foreign, match="No such file"):
        _opened(tmp_path / "nothing.jsonl")
    with pytest.raises(Foreign, match=r"no folder of a cell.*--open takes"):
        _opened(tmp_path)


def _cell(folder: Path) -> Path:
    """One call that a lost reply doubled, one that went through, and one that nobody knows of."""
    place = folder / "lost-reply--at-least-once"
    place.mkdir()
    record = CellRecord(
        "lost-reply", "at-least-once", "at-least-once", "persisted", "local", 1, 2, 2, "python -m chaos run", "Runs.",
        Expected(),
    )  # fmt: skip
    link = "http://127.0.0.1:1/rpc"
    doubled = CallRecord(
        "c0-0", 0, 0, "kv.append", "log", "c0-0;", "ok", 10.0, 300.0,
        (AttemptRecord(1, link, 10.0, 250.0, "timed out"), AttemptRecord(2, link, 280.0, 5.0, "ok")), {"version": 2},
        effects=2,
    )  # fmt: skip
    fine = CallRecord("c1-0", 1, 0, "kv.append", "log", "c1-0;", "ok", 12.0, 3.0,
                      (AttemptRecord(1, link, 12.0, 3.0, "ok"),), {"version": 1}, effects=1)  # fmt: skip
    unknown = CallRecord("c1-1", 1, 0, "kv.append", "log", "c1-1;", "unknown", 20.0, 250.0,
                         (AttemptRecord(1, link, 20.0, 250.0, "timed out"),), effects=0)  # fmt: skip
    evidence.write(place, record, [fine, unknown, doubled], StoreRecord())
    (place / evidence.HISTORY).write_text("")
    return place


def test_a_recorded_cell_is_told_as_events(tmp_path: Path) -> None:
    """In order, with what is proven of each attempt, and with the sums beside the calls."""
    events = _opened(_cell(tmp_path))
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert all(one["t"] <= two["t"] for one, two in itertools.pairwise(events))
    world = events[0]
    assert (world["type"], world["clients"], world["played"]) == ("world", ["c0", "c1"], "lost-reply × at-least-once")
    of_doubled = [event for event in events if event.get("call") == "c0-0"]
    assert [event["effects"] for event in of_doubled if event["type"] == "effects"] == [1, 2, 2]
    kinds = [
        (event["type"], event.get("kind"), event.get("attempt")) for event in of_doubled if event["type"] != "effects"
    ]
    assert kinds == [
        ("call", None, None), ("message", "request", 1), ("message", "request", 2), ("message", "reply", 2),
        ("told", None, None),
    ]  # fmt: skip
    ends = {event["id"]: event for event in events if event["type"] == "message-end"}
    assert ends[of_doubled[1]["id"]]["end"] == "arrived"  # the store proves it: its reply was lost
    [lost] = [event for event in events if event.get("call") == "c1-1" and event["type"] == "message"]
    assert (ends[lost["id"]]["end"], ends[lost["id"]]["proven"]) == ("lost", True)
    sums = [event for event in events if event["type"] == "totals"][-1]
    assert {name: sums[name] for name in ("done", "effects", "doubled", "unknown", "lost")} == {
        "done": 2, "effects": 3, "doubled": 1, "unknown": 1, "lost": 0,
    }  # fmt: skip


def test_every_message_has_its_end_and_travels_as_long(tmp_path: Path) -> None:
    """So that a page can draw it without knowing what comes."""
    events = read_recorded(_cell(tmp_path)).events
    ends = {event["id"]: event["t"] for event in events if event["type"] == "message-end"}
    messages = [event for event in events if event["type"] == "message"]
    assert len(messages) == len(ends)
    for message in messages:
        assert message["t"] + message["travel_ms"] == pytest.approx(ends[message["id"]], abs=0.5)


def test_a_cell_without_calls_is_no_recording(tmp_path: Path) -> None:
    """It says how to make one."""
    place = _cell(tmp_path)
    (place / evidence.CALLS).write_text("")
    with pytest.raises(EvidenceUnreadable, match="python -m chaos run"):
        read_recorded(place)
