"""The journal of the live page: all events in order, and of a long run as much as there is room for."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from chaos.live import journal as journal_module
from chaos.live.journal import Journal, Reset


def _lines(journal: Journal) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.lines()]


def test_events_have_numbers_without_gaps() -> None:
    """From 1, whoever adds them."""
    journal = Journal()
    adders = [threading.Thread(target=lambda: [journal.add("action") for _ in range(200)]) for _ in range(4)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join(10)
    assert [event["n"] for event in _lines(journal)] == list(range(1, 801))
    assert journal.last == 800


def test_a_long_run_keeps_the_last_events_and_how_everything_stands() -> None:
    """Memory is bounded; what was dropped is told as a reset; the whole still begins with the world."""
    journal = Journal(events_max=1_000)
    journal.add("world", format="oncekv-live/1")
    journal.add("link", link="c0", up="cut", down="open")
    journal.add("semantics", semantics="maybe")
    journal.add("record", server="s0", row="c0/1", change="added")
    journal.add("record", server="s0", row="c0/2", change="added")
    journal.add("record", server="s0", row="c0/2", change="gone")
    for number in range(20_000):
        journal.add("server", server="s0", counts={"attempts": number})
        journal.add("call", call=f"c0-{number}")
    lines = _lines(journal)
    assert len(lines) < 1_200
    standing = [event for event in lines if event["n"] < lines[-1]["n"] - 1_100]
    assert [event["type"] for event in standing] == ["world", "link", "semantics", "record"]
    assert standing[3]["row"] == "c0/1"
    with pytest.raises(Reset):
        journal.after(0, 0.0)
    with pytest.raises(Reset):
        journal.after(100, 0.0)
    assert journal.after(journal.last - 3, 0.0)[0][0] == journal.last - 2


def test_a_world_that_comes_again_makes_what_stood_before_it_old() -> None:
    """Nobody is told how the links stood in a world that is gone."""
    journal = Journal(events_max=10)
    journal.add("world", format="oncekv-live/1", number=1)
    journal.add("link", link="c0", up="cut")
    journal.add("world", format="oncekv-live/1", number=2)
    for _ in range(30):
        journal.add("call")
    first, *others = _lines(journal)
    assert first["number"] == 2
    assert {event["type"] for event in others} == {"call"}


def test_the_file_is_bounded_and_begins_with_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over night it is one file before and one now, and either is a journal."""
    monkeypatch.setattr(journal_module, "FILE_BYTES_MAX", 10_000)
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    journal.add("world", format="oncekv-live/1")
    for _ in range(2_000):
        journal.add("action", text="x" * 40)
    journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.before.jsonl", "journal.jsonl"]
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 11_000
        assert json.loads(path.read_text().splitlines()[0])["type"] == "world"


def test_a_reader_is_told_when_something_comes() -> None:
    """It waits for the next event, and no longer than it said."""
    journal = Journal()
    assert journal.after(0, 0.01) == []
    later = threading.Timer(0.05, journal.add, ["action"])
    later.start()
    assert [n for n, _ in journal.after(0, 10.0)] == [1]
    later.join(10)


def test_while_it_is_muted_the_live_world_is_not_told() -> None:
    """A recording that is played has the page for itself, but for what is said of the page."""
    journal = Journal()
    journal.mute()
    assert journal.add("call", call="c0-1") == 0
    journal.take({"t": 0, "type": "call", "call": "recorded"})
    journal.add("pace", mode="slow")
    journal.unmute()
    journal.add("call", call="c0-2")
    assert [event.get("call", event["type"]) for event in _lines(journal)] == ["recorded", "pace", "c0-2"]


def test_a_disk_that_is_full_ends_the_file_and_not_the_page(tmp_path: Path) -> None:
    """Events go on in memory."""
    full = Path("/dev/full")
    link = tmp_path / "journal.jsonl"
    link.symlink_to(full)
    journal = Journal(link)
    for _ in range(3):
        journal.add("action")
    journal.close()
    assert len(_lines(journal)) == 3
