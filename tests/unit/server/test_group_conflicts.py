"""A group that the store gave up for another server's is run again as a whole, and nobody is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oncekv.server.engine import committer
from oncerpc.wire.identity import CallMeta
from tests.support.committing import Bench, name_of, told


@pytest.fixture(params=["persisted", "memory"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A committer that loses no time between two tries."""
    monkeypatch.setattr(committer, "BACKOFF_MAX_S", 0.0)
    made = Bench(f"sqlite:///{tmp_path}/kv.db", request.param)
    yield made
    made.store.close()


def test_it_runs_again_and_each_call_has_one_effect(bench: Bench) -> None:
    """Replies, records, counts and the slots of the records are those of the try that was committed."""
    session = bench.open()
    bench.store.conflicts = 3
    calls = [bench.to_append(session, seq) for seq in (1, 2)]
    keyed = bench.call("kv.append", params={"key": "keyed", "value": "x"}, key="order-17")
    bench.run(*calls, keyed)
    assert bench.store.conflicts == 0
    assert [told(call) for call in calls] == [{"version": 1, "offset": 0}, {"version": 2, "offset": 1}]
    assert not any(call.replayed for call in (*calls, keyed))
    assert all(call.ran for call in (*calls, keyed))
    assert (bench.value(), bench.value("keyed")) == ("xx", "x")
    assert bench.append(session, 2).replayed


def test_a_session_that_was_opened_in_a_try_is_opened_once(bench: Bench) -> None:
    """The name that a lost try made is known to nobody."""
    bench.store.conflicts = 2
    session = bench.open()
    with bench.store.read() as reader:
        assert reader.counters().sessions == 1
    assert told(bench.append(session, 1)) == {"version": 1, "offset": 0}


def test_over_the_bound_it_is_refused_and_nothing_of_it_stays(bench: Bench) -> None:
    """Every try was rolled back, so `overloaded` is the truth; when the others are done, the retry is the first run."""
    session = bench.open()
    bench.store.conflicts = committer.CONFLICTS_MAX + 1
    assert name_of(bench.append(session, 1)) == "overloaded"
    assert bench.store.conflicts == 0
    assert bench.value() is None
    again = bench.append(session, 1)
    assert (told(again), again.replayed) == ({"version": 1, "offset": 0}, False)


def test_an_error_of_a_try_is_not_remembered(bench: Bench) -> None:
    """What a call says no to is asked anew: the key may have another version by then."""
    bench.store.conflicts = 1
    call = bench.call("kv.put", params={"key": "k", "value": "x", "if_version": 7})
    put = bench.call("kv.put", params={"key": "other", "value": "x"})
    bench.run(call, put)
    assert told(call)["data"]["version"] == 0
    assert told(put) == {"version": 1}


def test_an_acknowledgement_holds_once_the_group_stays(bench: Bench) -> None:
    """Records at or below it are gone, and their number too, as often as the group was run."""
    session = bench.open()
    bench.append(session, 1)
    bench.store.conflicts = 2
    bench.append(session, 2, acked=1)
    assert name_of(bench.run(bench.call("kv.append", CallMeta(session, 1, 0), {"key": "k", "value": "x"}))) == (
        "stale_call"
    )
    assert bench.value() == "xx"
