"""A group of calls as one change, on a real SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.base import Row, Store, Writer
from oncekv.server.engine.storage.staged import Effect, Group
from oncekv.server.engine.storage.writer_cache import WriterCache
from oncerpc.wire.jsonrpc import Reply


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store of this test's own."""
    store = open_store(f"sqlite:///{tmp_path}/kv.db")
    yield store
    store.close()


def _finish(store: Store, *puts: tuple[str, str]) -> None:
    with store.write() as writer:
        group = Group(writer)
        effect = Effect(group)
        for key, value in puts:
            effect.put(key, value)
        group.merge(effect)
        group.finish(0, save_clock=False)


def test_a_call_sees_the_calls_before_it_in_the_group(store: Store) -> None:
    """Effects of one group build upon one another before anything is written."""
    _finish(store, ("k", "old"))
    with store.write() as writer:
        group = Group(writer)
        first = Effect(group)
        assert first.put("k", "one") == 2
        group.merge(first)
        second = Effect(group)
        assert second.row("k") == Row("one", 2)
        second.delete("k")
        group.merge(second)
        assert Effect(group).put("k", "anew") == 1
        group.finish(0, save_clock=False)
    with store.read() as reader:
        assert reader.row("k") is None


def test_an_effect_that_is_not_merged_is_gone(store: Store) -> None:
    """A call that fails inside a group fails alone."""
    with store.write() as writer:
        group = Group(writer)
        Effect(group).put("dropped", "x")
        kept = Effect(group)
        kept.put("kept", "x")
        group.merge(kept)
        group.finish(0, save_clock=False)
    with store.read() as reader:
        assert reader.row("dropped") is None
        assert reader.row("kept") == Row("x", 1)


def test_an_exception_leaves_nothing_of_the_group(store: Store) -> None:
    """Effect and record are both there or both not."""

    def fail_after_writing() -> None:
        with store.write() as writer:
            group = Group(writer)
            effect = Effect(group)
            effect.put("k", "x")
            group.merge(effect)
            session = group.open_session("s", 1000, 1000)
            group.put_record(session, 1, b"f" * 16, Reply(False, b"{}"))
            group.finish(0, save_clock=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()
    with store.read() as reader:
        assert reader.row("k") is None
        assert not reader.sessions(["s"])
        assert reader.counters().sessions_opened == 0


def test_acknowledging_forgets_records_and_counts_them(store: Store) -> None:
    """Watermark, records and their count move in one transaction."""
    with store.write() as writer:
        group = Group(writer)
        session = group.open_session("s", 1000, 1000)
        for seq in range(1, 6):
            group.put_record(session, seq, b"f" * 16, Reply(False, b"{}"))
        group.finish(0, save_clock=False)
    with store.write() as writer:
        group = Group(writer)
        found = group.session("s")
        assert found is not None
        group.acknowledge(found, 3)
        group.finish(0, save_clock=False)
    with store.read() as reader:
        (kept,) = reader.sessions(["s"])
        assert kept.acked == 3
        assert sorted(kept.slots.kept) == [4, 5]
        assert reader.counters().records == 2
        assert all(reader.record(kept.row_id(slot)) for slot in kept.slots.kept.values())


def test_a_session_number_is_never_given_out_twice(store: Store) -> None:
    """An ended session's number stays unused, so that no old record can belong to a new session."""
    numbers = []
    for name in ("a", "b"):
        with store.write() as writer:
            group = Group(writer)
            session = group.open_session(name, 1000, 1000)
            numbers.append(session.number)
            group.finish(0, save_clock=False)
        with store.write() as writer:
            group = Group(writer)
            found = group.session(name)
            assert found is not None
            group.end_session(found)
            group.finish(0, save_clock=False)
    with store.read() as reader:
        assert len(set(numbers)) == 2
        assert reader.counters().sessions == 0


class Asked:
    """A writer that takes down what it is asked."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.names.append(name)
        return getattr(self._writer, name)


def test_what_is_known_is_not_asked_for_again(store: Store) -> None:
    """A group whose session and counts are known takes two statements: one for all its keys, one that writes."""
    cache = WriterCache()
    with store.write() as writer:
        group = Group(writer, cache)
        group.open_session("s", 1000, 1000)
        group.finish(0, save_clock=False)
    with store.write() as writer:
        asked = Asked(writer)
        group = Group(cast(Writer, asked), cache)
        group.prefetch(["s"], ["one", "two"])
        assert group.session("s") is not None
        effect = Effect(group)
        assert [effect.put("one", "x"), effect.put("two", "x")] == [1, 1]
        assert (group.row("one"), group.version("two")) == (None, 0)
        group.merge(effect)
        group.finish(0, save_clock=False)
    assert asked.names == ["data_version", "foresee", "rows", "apply"]


def test_a_cache_that_knows_too_many_records_is_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bound counts those that were made since it was read, too."""
    monkeypatch.setattr("oncekv.server.engine.storage.writer_cache.RECORDS_MAX", 3)
    cache = WriterCache()

    def is_read_again(*seqs: int, acked: int = 0) -> bool:
        with store.write() as writer:
            asked = Asked(writer)
            group = Group(cast(Writer, asked), cache)
            session = group.session("s") or group.open_session("s", 1000, 1000)
            if acked:
                group.acknowledge(session, acked)
            for seq in seqs:
                group.put_record(session, seq, b"f" * 16, Reply(False, b"{}"))
            group.finish(0, save_clock=False)
        return "sessions" in asked.names

    assert is_read_again(1, 2), "it is new"
    assert not is_read_again(3)
    assert not any(is_read_again() for _ in range(3)), "three are not too many, and no more come by asking"
    assert not is_read_again(4)
    assert is_read_again(acked=4), "four are"


def test_one_call_after_the_other_writes_its_record_and_no_session(store: Store, tmp_path: Path) -> None:
    """The record carries the watermark; the session's own row is as it was when it was opened."""
    for seq in range(1, 4):
        with store.write() as writer:
            group = Group(writer)
            session = group.session("s") or group.open_session("s", 1000, 1000)
            group.acknowledge(session, seq - 1)
            group.put_record(session, seq, b"f" * 16, Reply(False, b"{}"))
            group.finish(0, save_clock=False)
    with contextlib.closing(sqlite3.connect(tmp_path / "kv.db")) as file:
        assert file.execute("SELECT acked FROM session").fetchall() == [(0,)]
    with store.read() as reader:
        assert [(found.acked, list(found.slots.kept)) for found in reader.sessions(["s"])] == [(2, [3])]


def test_a_large_value_that_was_foreseen_is_read_whole(store: Store) -> None:
    """Its version is known beforehand; the value itself comes when somebody asks for it."""
    large = "x" * 5000
    _finish(store, ("large", large), ("small", "x"))
    with store.write() as writer:
        asked = Asked(writer)
        group = Group(cast(Writer, asked))
        group.prefetch([], ["large", "small"])
        assert (group.version("large"), group.row("small")) == (1, Row("x", 1))
        assert "row" not in asked.names
        assert group.row("large") == Row(large, 1)


def test_one_call_may_change_a_key_again_and_again(store: Store) -> None:
    """Each change of a transaction counts, and a deletion begins anew."""
    with store.write() as writer:
        effect = Effect(Group(writer))
        assert [effect.put("k", "a"), effect.put("k", "b")] == [1, 2]
        effect.delete("k")
        assert effect.version("k") == 0
        assert effect.put("k", "c") == 1


def test_the_sessions_of_this_group_take_no_room_in_a_portion(store: Store) -> None:
    """Those that it has renewed or ended do not count as expired, and as many others are found as were asked for."""
    with store.write() as writer:
        group = Group(writer)
        for number in range(7):
            group.open_session(f"{number}", 10, number)
        group.finish(0, save_clock=False)
    with store.write() as writer:
        group = Group(writer)
        sessions = [group.session(f"{number}") for number in range(3)]
        renewed, ended, other = [session for session in sessions if session is not None]
        group.renew(renewed, 1000)
        group.renew(other, 1000)
        group.end_session(ended)
        assert [found.name for found in group.sessions_expired(100, 3)] == ["3", "4", "5"]


def test_a_version_that_was_foreseen_is_not_taken_for_one_that_the_group_made(store: Store) -> None:
    """What the store held before the group counts for its first call alone."""
    _finish(store, ("k", "old"))
    with store.write() as writer:
        group = Group(writer)
        group.prefetch([], ["k"])
        for version in (2, 3):
            effect = Effect(group)
            assert effect.put("k", "x") == version
            group.merge(effect)
