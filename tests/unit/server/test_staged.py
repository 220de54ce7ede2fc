"""A group of calls as one change, on a real SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oncekv.server.engine.storage import open_store
from oncekv.server.engine.storage.base import Row, Store
from oncekv.server.engine.storage.staged import Effect, Group
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
