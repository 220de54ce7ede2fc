"""A group that is more than the store takes in a transaction is committed in portions; no call is in two of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from oncerpc.server.rpc.call import Call
from oncerpc.server.rpc.components import read_counters
from oncerpc.wire.identity import CallMeta
from tests.support.committing import Bench, name_of, told


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A committer whose store takes six rows at once: keys and records."""
    made = Bench(f"sqlite:///{tmp_path}/kv.db")
    made.store.rows_max = 6
    yield made
    made.store.close()


def _write_all(bench: Bench, session: str, seq: int, keys: int) -> Call:
    """One call that changes so many keys."""
    writes = [{"op": "put", "key": f"{seq}/{number}", "value": "x"} for number in range(keys)]
    return bench.call("kv.txn", CallMeta(session=session, seq=seq), {"ops": writes})


def test_each_call_runs_once_in_its_order(bench: Bench) -> None:
    """Nothing of a portion that was too large stays, and none is left out, whatever their number."""
    session = bench.open()
    bench.append(session, 1)
    calls = [bench.to_append(session, seq, acked=1, on=f"k{seq % 5}") for seq in range(2, 13)]
    bench.run(*calls)
    assert [told(call)["offset"] for call in calls] == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]
    assert all(call.ran and not call.replayed for call in calls)
    assert [bench.value(f"k{number}") for number in range(5)] == ["xx", "xx", "xxx", "xx", "xx"]
    assert bench.run(bench.to_append(session, 12, acked=1, on="k2")).replayed
    assert read_counters(bench.store).records == len(calls), (
        "what a portion acknowledged was not counted twice, or never"
    )


def test_a_call_that_no_transaction_holds_is_refused_and_remembered(bench: Bench) -> None:
    """Its neighbours run; its reply is its record, so a retry is told the same, also when there would be room."""
    session = bench.open()
    before, large, after = bench.to_append(session, 1), _write_all(bench, session, 2, 9), bench.to_append(session, 3)
    bench.run(before, large, after)
    assert name_of(large) == "too_large"
    assert (told(before)["version"], told(after)["version"]) == (1, 2)
    assert bench.value("2/0") is None
    bench.store.rows_max = None
    again = bench.run(_write_all(bench, session, 2, 9))
    assert (name_of(again), again.replayed, bench.value("2/0")) == ("too_large", True, None)
    assert name_of(bench.run(_write_all(bench, session, 4, 9))) == ""


def test_where_not_even_the_refusal_has_room_nobody_is_told_that_it_did_not_run(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a record the retry could run: an indefinite error, and a line in the log."""
    session = bench.open()
    bench.store.rows_max = 0
    with caplog.at_level(logging.ERROR):
        assert name_of(bench.append(session, 1)) == "internal_error"
    assert "does not even take the record of a refusal" in caplog.text
    bench.store.rows_max = None
    again = bench.append(session, 1)
    assert (told(again), again.replayed) == ({"version": 1, "offset": 0}, False)
