"""A group of calls as one change, on a real SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.base import Row, Store, Writer
from oncekv.server.engine.storage.staged import Effect, Group
from oncekv.server.engine.storage.writer_cache import WriterCache
from oncerpc.wire.envelope import Reply


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
    assert asked.names == ["data_version", "rows", "apply"]


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
