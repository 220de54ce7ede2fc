"""The gate's rules at their very edges, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from oncekv.server.engine.committer import SWEEP_PAUSE_S, TICK_S
from oncerpc.server.dedup.base import KEY_KEPT_MS
from oncerpc.server.dedup.memory import MemoryDedup
from oncerpc.server.rpc.components import read_counters
from oncerpc.server.sessions import SWEEP_PORTION
from oncerpc.wire.identity import WINDOW, CallMeta
from tests.support.committing import Bench, name_of, told

MINUTE_MS = 60_000
Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Benches of this test's own."""
    benches: list[Bench] = []

    def make(delivery: str = "persisted", **options: int) -> Bench:
        benches.append(Bench(f"sqlite:///{tmp_path}/{len(benches)}.db", delivery, **options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.store.close()


@pytest.fixture(params=["persisted", "memory"])
def bench(request: pytest.FixtureRequest, make: Make) -> Bench:
    """One of each gate: within one life they do not differ."""
    return make(request.param)


def test_the_window_ends_where_it_says(bench: Bench) -> None:
    """So many calls may be outstanding, not one more; an acknowledgement moves its end, in the same call too."""
    session = bench.open()
    assert name_of(bench.append(session, WINDOW + 1)) == "window_exceeded"
    assert name_of(bench.append(session, WINDOW)) == ""
    assert name_of(bench.append(session, WINDOW + 2, acked=1)) == "window_exceeded"
    assert name_of(bench.append(session, WINDOW + 1)) == ""
    assert name_of(bench.append(session, WINDOW + 2, acked=2)) == ""
    assert told(bench.append(session, WINDOW + 3))["data"] == {
        "name": "window_exceeded", "definite": True, "acked": 2, "window": WINDOW,
    }  # fmt: skip


@pytest.mark.parametrize("in_one_group", [True, False])
def test_at_the_watermark_a_call_is_stale_and_above_it_not(bench: Bench, in_one_group: bool) -> None:
    """Whether the acknowledgement came with a group before it or with a call before it in the same group."""
    session = bench.open()
    calls = [
        bench.to_append(session, 1), bench.to_append(session, 2), bench.to_append(session, 3),
        bench.to_append(session, 5, acked=2), bench.to_append(session, 2), bench.to_append(session, 3),
        bench.to_append(session, 6, acked=1), bench.to_append(session, 2),
    ]  # fmt: skip
    for group in [calls] if in_one_group else [[call] for call in calls]:
        bench.run(*group)
    assert [name_of(call) for call in calls] == ["", "", "", "", "stale_call", "", "", "stale_call"]
    assert [call.replayed for call in calls] == [False] * 5 + [True, False, False]
    assert told(calls[4])["data"]["acked"] == 2
    assert bench.value() == "xxxxx"


@pytest.mark.parametrize("in_one_group", [True, False])
def test_another_payload_under_the_same_identity_is_refused(bench: Bench, in_one_group: bool) -> None:
    """Of a session's call and of one under a key, in a later group and in the same; the record stays the first's."""
    session = bench.open()
    put = {"key": "k", "value": "x"}
    other = {"key": "k", "value": "y"}
    calls = [
        bench.to_append(session, 1), bench.to_append(session, 1, on="other"), bench.to_append(session, 1),
        bench.call("kv.append", params=put, key="a"), bench.call("kv.append", params=other, key="a"),
        bench.call("kv.append", params=put, key="a"), bench.call("kv.append", params=put, key="b"),
    ]  # fmt: skip
    for group in [calls] if in_one_group else [[call] for call in calls]:
        bench.run(*group)
    assert [name_of(call) for call in calls] == ["", "identity_reused", "", "", "identity_reused", "", ""]
    assert [call.replayed for call in calls] == [False, False, True, False, False, True, False]
    assert [call.ran for call in calls] == [True, False, False, True, False, False, True]
    assert (bench.value(), bench.value("other")) == ("xxx", None)


def test_a_no_for_good_is_recorded_and_a_refusal_is_not(bench: Bench) -> None:
    """The one is what the call came to; after the other the same identity may be tried again."""
    session = bench.open()
    meta = CallMeta(session=session, seq=1)
    put = {"key": "k", "value": "x", "if_version": 7}
    for attempt in range(2):
        call = bench.run(bench.call("kv.put", meta, put))
        assert (name_of(call), call.replayed) == ("version_mismatch", attempt == 1)
    late = bench.to_append(session, 2)
    late.deadline_s = bench.now_s
    assert name_of(bench.run(late)) == "expired"
    assert name_of(bench.append(session, 2)) == ""
    assert bench.value() == "x"


def test_a_key_is_remembered_for_its_time_and_then_runs_anew(bench: Bench) -> None:
    """24 hours, to the millisecond, in both directions."""
    assert KEY_KEPT_MS == 86_400_000
    params = {"key": "k", "value": "x"}

    def attempt() -> bool:
        return bench.run(bench.call("kv.append", params=params, key="order-17")).replayed

    bench.at(5000)
    assert not attempt()
    bench.at(5000 + KEY_KEPT_MS - 1)
    assert attempt()
    bench.at(5000 + KEY_KEPT_MS)
    assert not attempt()
    assert attempt()
    assert bench.value() == "xx"


def test_keyed_records_whose_time_is_over_are_swept(make: Make) -> None:
    """A key that nobody sends again takes no room for ever."""
    bench = make()
    bench.run(bench.call("kv.append", params={"key": "k", "value": "x"}, key="order-17"))

    def kept() -> bool:
        with bench.store.read() as reader:
            return reader.keyed(b"", "order-17") is not None

    bench.at(KEY_KEPT_MS - 10_000)
    bench.run_idle()
    assert kept()
    bench.at(KEY_KEPT_MS + 1)
    bench.run_idle()
    assert not kept()


def test_more_sessions_than_a_portion_go_a_tick_later_and_not_a_second(make: Make) -> None:
    """Of many leases that end at once a portion goes at a time, so that calls get in between, and soon all are gone."""
    bench = make()
    bench.run(*(bench.call("session.open", params={"lease_ms": 1000}) for _ in range(SWEEP_PORTION + 1)))

    def left_at(now_s: float) -> int:
        bench.now_s = now_s
        bench.committer._run_group([])
        return read_counters(bench.store).sessions

    bench.at(1000)
    assert left_at(1.0) == 1
    assert left_at(1.0 + TICK_S / 2) == 1
    assert left_at(1.0 + TICK_S) == 0
    bench.open(1)
    assert left_at(1.0 + 2 * TICK_S) == 1, "it was less than a portion"
    assert left_at(1.0 + TICK_S + SWEEP_PAUSE_S) == 0


def test_calls_without_an_identity_run_each_time(bench: Bench) -> None:
    """Nothing is remembered of them, and nothing is made up."""
    call = {"key": "k", "value": "x"}
    assert not any(bench.run(bench.call("kv.append", params=call)).replayed for _ in range(3))
    assert bench.value() == "xxx"
    assert read_counters(bench.store).records == 0


def test_a_call_of_a_session_that_has_no_seq_is_not_remembered(bench: Bench) -> None:
    """A renewal stands among numbered calls and has no number: no record is made of it, and none is acknowledged."""
    session = bench.open()
    bench.append(session, 1)
    assert name_of(bench.run(bench.call("session.renew", CallMeta(session=session)))) == ""
    assert name_of(bench.append(session, 2, acked=1)) == ""
    assert bench.append(session, 2).replayed
    assert bench.value() == "xx"


@pytest.mark.parametrize("lease_ms", [1000, MINUTE_MS])
def test_a_lease_ends_at_its_millisecond(bench: Bench, lease_ms: int) -> None:
    """It was promised for so long, and the next millisecond it is gone for good, with its records."""
    one, two = bench.open(lease_ms), bench.open(lease_ms)
    bench.append(two, 1)
    expires_ms = lease_ms
    bench.at(expires_ms - 1)
    assert name_of(bench.append(one, 1)) == ""
    three = bench.open(lease_ms)
    bench.at(expires_ms - 1 + lease_ms)
    assert name_of(bench.append(three, 1)) == "session_unknown"
    assert name_of(bench.append(three, 1)) == "session_unknown"


def test_a_session_that_is_gone_takes_its_records_along(bench: Bench) -> None:
    """Whether it is found so by a call, by the sweep or closed by its client: the tally and the table agree."""
    names = [bench.open(1000) for _ in range(3)]
    for name in names:
        for seq in (1, 2):
            bench.append(name, seq)
    bench.run(bench.call("session.close", CallMeta(session=names[0])))
    bench.at(1000)
    assert name_of(bench.append(names[1], 3)) == "session_unknown"
    bench.run_idle()
    counters = read_counters(bench.store)
    assert (counters.sessions, counters.records, counters.sessions_opened) == (0, 0, 3)
    assert [name_of(bench.append(name, 1)) for name in names] == ["session_unknown"] * 3


def test_the_memory_gate_forgets_what_is_acknowledged_and_who_is_gone(make: Make) -> None:
    """Even the control is bounded by what its clients have outstanding."""
    bench = make("memory")
    gate = cast(MemoryDedup, bench.components.delivery)
    session = bench.open(1000)
    for seq in range(1, 6):
        bench.append(session, seq)
    bench.append(session, 6, acked=3)
    assert sorted(gate._records[session]) == [4, 5, 6]
    bench.at(1000)
    bench.append(session, 7)
    assert (dict(gate._records), dict(gate._acked)) == ({}, {})
    assert read_counters(bench.store).records == 0, "its records are not the store's"


def _passes(bench: Bench, meta: CallMeta) -> bool:
    with bench.store.read() as reader:
        return bench.components.delivery.is_plain_read(reader, meta, bench.components.clock.now_ms())


def test_a_read_that_changes_nothing_need_not_wait(make: Make) -> None:
    """It waits for the writer when its session must be renewed, refused or acknowledged, and only then."""
    bench = make()
    session = bench.open(MINUTE_MS)
    bench.append(session, 1)
    bench.append(session, 2, acked=1)
    assert _passes(bench, CallMeta())
    assert _passes(bench, CallMeta(session=session))
    assert _passes(bench, CallMeta(session=session, acked=1))
    assert not _passes(bench, CallMeta(session=session, acked=2))
    assert not _passes(bench, CallMeta(session="never opened"))
    bench.at(1)
    assert not _passes(bench, CallMeta(session=session)), "it would leave less than the lease"
    bench.append(session, 3)
    bench.at(1 + MINUTE_MS // 4)
    assert _passes(bench, CallMeta(session=session)), "renewed in steps of a quarter"
    bench.at(2 + MINUTE_MS // 4)
    assert not _passes(bench, CallMeta(session=session))
    bench.at(10 * MINUTE_MS)
    assert not _passes(bench, CallMeta(session=session))


def test_the_memory_gate_lets_reads_of_sessions_wait(make: Make) -> None:
    """Its watermarks are the committer's alone."""
    bench = make("memory")
    assert _passes(bench, CallMeta())
    assert not _passes(bench, CallMeta(session=bench.open()))


def test_a_lease_is_what_was_asked_for_within_its_bounds(make: Make) -> None:
    """The default where none is asked for, and never more than the most."""
    bench = make(lease_ms=7000, lease_max_ms=9000)

    def lease(lease_ms: int | None) -> int:
        call = bench.run(bench.call("session.open", params={"lease_ms": lease_ms}))
        return int(told(call)["lease_ms"])

    assert [lease(None), lease(1), lease(9000), lease(9001)] == [7000, 1, 9000, 9000]


def test_sessions_over_the_limit_are_refused_until_one_ends(make: Make) -> None:
    """Opened in one group or in several; one that is closed makes room at once."""
    bench = make(sessions_max=3)
    calls = [bench.call("session.open") for _ in range(5)]
    bench.run(*calls)
    assert [name_of(call) for call in calls] == ["", "", "", "too_many_sessions", "too_many_sessions"]
    assert told(calls[3])["data"]["sessions_max"] == 3
    assert name_of(bench.run(bench.call("session.open"))) == "too_many_sessions"
    closing = bench.call("session.close", CallMeta(session=told(calls[0])["session"]))
    opening = bench.call("session.open")
    bench.run(closing, opening)
    assert name_of(opening) == ""
    assert read_counters(bench.store).sessions == 3


def test_a_closed_session_is_closed_within_its_group(bench: Bench) -> None:
    """What was opened, called and closed in one group leaves nothing, and no later call of the group gets in."""
    session = bench.open()
    calls = [
        bench.to_append(session, 1), bench.call("session.close", CallMeta(session=session)),
        bench.to_append(session, 2), bench.to_append(session, 1),
        bench.call("session.renew", CallMeta(session=session)),
    ]  # fmt: skip
    bench.run(*calls)
    assert [name_of(call) for call in calls] == ["", "", "session_unknown", "session_unknown", "session_unknown"]
    assert read_counters(bench.store)[2:] == (0, 0)
    assert bench.value() == "x"
