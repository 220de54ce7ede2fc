"""The committer on a store that fails: what is told, what is remembered of it, and that it goes on by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from oncekv.server.engine.storage.base import StoreFailed, StoreRefused
from oncerpc.server.rpc.call import Call, Submission
from oncerpc.server.rpc.components import read_counters
from oncerpc.wire.identity import CallMeta
from tests.support.committing import Bench, name_of, told

GONE = StoreRefused("the store's file is not there")
FULL = StoreFailed("database or disk is full")
BUG = ZeroDivisionError()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A committer on a store of this test's own."""
    bench = Bench(f"sqlite:///{tmp_path}/kv.db")
    yield bench
    bench.store.close()


@pytest.fixture(params=[FULL, BUG], ids=["full", "bug"])
def error(request: pytest.FixtureRequest) -> Exception:
    """What a group breaks off for: the disk, or a mistake of ours."""
    found: Exception = request.param
    return found


def test_a_session_that_a_failed_group_opened_is_not_known(
    bench: Bench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was given it, and the store does not have it: a call under its name is refused and runs nothing."""
    monkeypatch.setattr("oncerpc.server.rpc.wiring.secrets.token_urlsafe", lambda _bytes: "never-given-out")
    bench.store.error = error
    assert name_of(bench.run(bench.call("session.open"))) == "internal_error"
    bench.store.error = None
    assert name_of(bench.append("never-given-out", 1)) == "session_unknown"
    assert bench.value() is None
    assert read_counters(bench.store)[1:] == (0, 0, 0)


def test_a_watermark_that_a_failed_group_moved_is_where_it_was(bench: Bench, error: Exception) -> None:
    """What was not committed was not acknowledged: the reply of the first call is still there for its retry."""
    session = bench.open()
    first = told(bench.append(session, 1))
    bench.store.error = error
    assert name_of(bench.append(session, 2, acked=1)) == "internal_error"
    bench.store.error = None
    again = bench.append(session, 1)
    assert again.replayed
    assert told(again) == {**first, "_meta": {"replayed": True}}


def test_a_record_that_a_failed_group_made_is_neither_found_nor_counted(bench: Bench, error: Exception) -> None:
    """Its retry runs, once, in the slot that it would have had, and the tally agrees with what is there."""
    session = bench.open()
    for seq in range(1, 4):
        bench.store.error = error
        assert name_of(bench.append(session, seq)) == "internal_error"
        bench.store.error = None
        assert told(bench.append(session, seq)) == {"version": seq, "offset": seq - 1}
        assert bench.append(session, seq).replayed
    with bench.store.read() as reader:
        (found,) = reader.sessions([session])
        assert sorted(found.slots.kept.values()) == [0, 1, 2]
        assert reader.counters().records == 3
    assert bench.value() == "xxx"


def test_a_session_that_a_failed_group_closed_lives_on(bench: Bench, error: Exception) -> None:
    """The end of a session is an effect like others."""
    session = bench.open()
    bench.store.error = error
    assert name_of(bench.run(bench.call("session.close", CallMeta(session=session)))) == "internal_error"
    bench.store.error = None
    assert told(bench.append(session, 1)) == {"version": 1, "offset": 0}
    assert read_counters(bench.store).sessions == 1


def test_a_lease_that_a_failed_group_renewed_is_as_it_was(bench: Bench, error: Exception) -> None:
    """Else the client would go on under a lease that no other server, and no restart, knows of."""
    session = bench.open()
    before = bench.committer._cache.sessions[session].expires_ms
    bench.at(200_000)
    bench.store.error = error
    assert name_of(bench.append(session, 1)) == "internal_error"
    bench.store.error = None
    bench.run(bench.call("kv.put", params={"key": "other", "value": "x"}))
    with bench.store.read() as reader:
        assert [found.expires_ms for found in reader.sessions([session])] == [before]
    assert not bench.committer._cache.sessions


@pytest.mark.parametrize("delivery", ["persisted", "memory"])
def test_after_a_failed_group_a_retry_runs_once(tmp_path: Path, delivery: str, error: Exception) -> None:
    """Whatever remembers what ran, remembers nothing of a group that failed, and everything of one that did not."""
    bench = Bench(f"sqlite:///{tmp_path}/kv.db", delivery)
    session = bench.open()
    key = {"key": "keyed", "value": "x"}
    for turn in range(2):
        bench.store.error = error if turn == 0 else None
        calls = [bench.to_append(session, 1), bench.call("kv.append", params=key, key="order-17")]
        bench.run(*calls)
        assert [name_of(call) for call in calls] == ["internal_error" if turn == 0 else ""] * 2
        assert not any(call.replayed for call in calls)
    again = [bench.to_append(session, 1), bench.call("kv.append", params=key, key="order-17")]
    bench.run(*again)
    assert all(call.replayed for call in again)
    assert (bench.value(), bench.value("keyed")) == ("x", "x")
    bench.store.close()


def test_while_the_store_is_full_nothing_is_run_and_the_refusal_is_definite(bench: Bench) -> None:
    """The first call that meets it cannot tell; those that come after it are refused before they begin."""
    session = bench.open()
    bench.append(session, 1)
    bench.store.error = FULL
    assert name_of(bench.append(session, 2)) == "internal_error"
    calls = [
        bench.to_append(session, 2),
        bench.call("session.open"),
        bench.call("kv.put", params={"key": "p", "value": ""}),
    ]
    bench.run(*calls)
    assert [name_of(call) for call in calls] == ["overloaded"] * 3
    assert not any(call.ran for call in calls)


def test_while_the_store_is_full_replays_are_answered(bench: Bench) -> None:
    """A record that is there needs no room, whoever asks beside it for what does."""
    session = bench.open()
    bench.append(session, 1)
    bench.store.error = FULL
    bench.append(session, 2)
    calls = [bench.to_append(session, 1), bench.to_append(session, 2)]
    bench.run(*calls)
    assert [(call.replayed, name_of(call)) for call in calls] == [(True, ""), (False, "overloaded")]


def test_while_the_store_is_full_no_acknowledgement_is_taken_for_stored(bench: Bench) -> None:
    """A replay that would also move the watermark is refused: the store could not keep that."""
    session = bench.open()
    bench.append(session, 1)
    bench.append(session, 2)
    bench.store.error = FULL
    bench.append(session, 3)
    assert name_of(bench.append(session, 2, acked=1)) == "overloaded"
    bench.store.error = None
    assert bench.append(session, 1).replayed


def test_the_first_call_after_the_store_has_room_runs(bench: Bench) -> None:
    """Nobody has to wait for a tick: a write of the committer's own goes ahead of the call and finds out."""
    session = bench.open()
    bench.store.error = FULL
    assert name_of(bench.append(session, 1)) == "internal_error"
    assert name_of(bench.append(session, 1)) == "overloaded"
    bench.store.error = None
    assert told(bench.append(session, 1)) == {"version": 1, "offset": 0}
    written = bench.store.written
    bench.append(session, 1)
    assert bench.store.written == written, "no more writes of its own"


def test_an_idle_committer_finds_out_by_itself(bench: Bench) -> None:
    """The group of no calls that comes once a second writes something while the store fails."""
    session = bench.open()
    bench.store.error = FULL
    bench.append(session, 1)
    assert bench.committer._failing
    bench.store.error = None
    bench.run_idle()
    assert not bench.committer._failing


def test_a_store_that_is_gone_refuses_all_and_nothing_began(bench: Bench) -> None:
    """Replays too: they would come from files that nobody finds; it goes on by itself when it is back."""
    session = bench.open()
    bench.append(session, 1)
    bench.store.error = GONE
    calls = [bench.to_append(session, 1), bench.to_append(session, 2)]
    bench.run(*calls)
    assert [name_of(call) for call in calls] == ["overloaded"] * 2
    bench.store.error = None
    assert bench.append(session, 1).replayed
    assert told(bench.append(session, 2)) == {"version": 2, "offset": 1}


@pytest.mark.parametrize("error", [FULL, GONE], ids=["full", "gone"])
def test_the_log_says_it_once(bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A line when it begins and one when it is over, no traceback, however many calls were refused between."""
    caplog.set_level(logging.INFO, "oncerpc")
    session = bench.open()
    bench.store.error = error
    for seq in range(1, 50):
        bench.append(session, seq)
    bench.store.error = None
    bench.append(session, 1)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert str(error) in caplog.messages[0]
    assert not any(record.exc_info for record in caplog.records)


def test_what_failed_is_not_counted_as_an_effect(bench: Bench) -> None:
    """The counters that prove a fault, and an effect, speak of what was committed."""

    def counted() -> str:
        return "".join(
            line for line in bench.components.metrics.text().decode().splitlines(True) if "effects_total{" in line
        )

    session = bench.open()
    before = counted()
    bench.store.error = FULL
    bench.append(session, 1)
    bench.append(session, 1)
    assert counted() == before
    bench.store.error = None
    bench.append(session, 1)
    assert 'oncekv_effects_total{method="kv.append"} 1.0' in counted()


def test_groups_are_counted_with_their_calls(bench: Bench) -> None:
    """Those that carried calls, and not the committer's own."""
    session = bench.open()
    bench.run(*(bench.to_append(session, seq) for seq in range(1, 6)))
    bench.run_idle()
    text = bench.components.metrics.text().decode()
    assert "oncekv_commit_groups_total 2.0" in text
    assert "oncekv_commit_group_calls_sum 6.0" in text


def test_the_queue_is_bounded_by_calls_and_bytes(tmp_path: Path) -> None:
    """Over either bound a request is refused at once, its first calls admitted; one alone may be of any size."""
    bench = Bench(f"sqlite:///{tmp_path}/kv.db", queue_max=3, queue_bytes_max=100)
    done: list[str] = []

    def submit(name: str, calls: int, size: int) -> list[Call]:
        some = [bench.call("kv.put", params={"key": name, "value": ""}) for _ in range(calls)]
        bench.committer.submit([Submission(some, size, lambda: done.append(name))])
        return some

    large = submit("large", 1, 1000)
    assert large[0].reply is None
    (refused,) = submit("too many bytes", 1, 1)
    assert name_of(refused) == "overloaded"
    assert done == ["too many bytes"]
    bench.committer._queue.take(0)
    four = submit("one too many", 4, 100)
    assert [call.reply is None for call in four] == [True, True, True, False]
    (full,) = submit("full", 1, 0)
    assert name_of(full) == "overloaded"
    assert done == ["too many bytes", "full"]
    bench.store.close()


def test_a_committer_that_stops_answers_what_waits_and_saves_its_clock(tmp_path: Path) -> None:
    """All that was let in is committed, what comes later is refused, and the lease clock is saved."""
    bench = Bench(f"sqlite:///{tmp_path}/kv.db")
    bench.at(7000)
    calls = [bench.call("kv.put", params={"key": f"k{number}", "value": "x"}) for number in range(300)]
    bench.committer.submit([Submission(calls, 1, lambda: None)])
    bench.committer.start()
    bench.committer.stop()
    assert {name_of(call) for call in calls} == {""}
    late = bench.call("kv.put", params={"key": "late", "value": "x"})
    bench.committer.submit([Submission([late], 1, lambda: None)])
    assert name_of(late) == "overloaded"
    assert read_counters(bench.store).clock_ms >= 7000
    bench.store.close()
