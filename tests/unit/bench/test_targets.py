from __future__ import annotations

import msgspec
import pytest

from bench.contenders import ETCD, ONCEKV
from bench.measures import growth, memory, writes
from bench.report.result_set import Part, ResultSet
from bench.report.targets import results, verdict

AT_32 = writes.column(32)


@pytest.mark.parametrize(
    ("value", "word"), [(2.0, "aim reached"), (1.99, "floor reached"), (1.3, "floor reached"), (1.29, "missed")]
)
def test_more_is_better_where_a_ratio_is_wanted(value, word):
    """The bounds themselves are reached."""
    assert verdict(value, 1.3, 2.0, at_most=False) == word


@pytest.mark.parametrize(("value", "word"), [(4, "aim reached"), (12, "floor reached"), (12.1, "missed")])
def test_less_is_better_where_a_cost_is_bounded(value, word):
    """A cost below its floor is no miss."""
    assert verdict(value, 12, 4, at_most=True) == word


def test_a_target_without_figures_is_not_measured(tmp_path):
    """An empty run has no verdict, and none that reads as passed."""
    assert {row["verdict"] for row in results(ResultSet(tmp_path / "b.json", {}))} == {"not measured"}


def test_a_missing_baseline_is_not_made_up(tmp_path):
    """Without etcd its target is not measured, whatever OnceKV did."""
    result_set = ResultSet(tmp_path / "b.json", {})
    part = result_set.part(Part(writes.NAME, "", "calls/s"))
    part.add(ONCEKV, AT_32, 5000)
    part.lack(ETCD, AT_32, "no etcd")
    assert results(result_set)[0]["verdict"] == "not measured"


def test_the_verdict_stands_on_the_median_of_the_rounds_ratios(tmp_path):
    """One bad round of the baseline does not reach an aim."""
    result_set = ResultSet(tmp_path / "b.json", {})
    part = result_set.part(Part(writes.NAME, "", "calls/s"))
    for own, other in ((2000, 1000), (2000, 100), (1900, 1000)):
        part.add(ONCEKV, AT_32, own)
        part.add(ETCD, AT_32, other)
    found = results(result_set)[0]
    assert (found["median"], found["low"], found["high"], found["verdict"]) == (2.0, 1.9, 20.0, "floor reached")


def test_growth_compares_the_most_keys_with_the_fewest(tmp_path):
    """Also in the quick run, whose most keys are fewer."""
    result_set = ResultSet(tmp_path / "b.json", {})
    part = result_set.part(Part(growth.NAME, "", "calls/s"))
    for row, value in (("1,000 keys", 100), ("100,000 keys", 90), ("10 sessions", 7)):
        part.add(row, growth.CALLS, value)
    assert next(row for row in results(result_set) if row["measurement"] == 5)["median"] == 0.9


def test_a_session_costs_what_it_cost_at_its_largest(tmp_path):
    """What is left behind after later calls counts, not only what the opening took."""
    result_set = ResultSet(tmp_path / "b.json", {})
    part = result_set.part(Part(memory.NAME, "", "bytes"))
    for row, size in (("opened", 90), ("1 call", 150), ("2 calls", 160), ("3 calls", 4000)):
        part.add(row, memory.DISK, size)
    disk, flat_memory, flat_disk = [row for row in results(result_set) if row["measurement"] == 6][1:4]
    assert (disk["median"], disk["verdict"]) == (4000, "missed")
    assert flat_memory["verdict"] == "not measured", "memory was not looked at"
    assert flat_disk["verdict"] == "missed", "it grew with the calls"


def test_an_interrupted_run_leaves_a_whole_file(tmp_path):
    """After every cell the JSON can be read, with the reason where there is no figure."""
    result_set = ResultSet(tmp_path / "b.json", {"date": "today"})
    part = result_set.part(Part(writes.NAME, "title", "calls/s", against=ONCEKV, inverted=True))
    part.add(ONCEKV, AT_32, 100)
    part.lack(ETCD, AT_32, "no etcd")
    result_set.save()
    read = msgspec.json.decode((tmp_path / "b.json").read_bytes())
    assert read["whole"] is False
    assert read["parts"][0]["cells"][1] == {"row": ETCD, "column": AT_32, "missing": "no etcd"}
