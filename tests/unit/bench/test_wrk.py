from __future__ import annotations

import pytest

from bench.load.wrk import WrkFailed, WrkMissing, find_wrk, read_load

LINE = (
    '{"requests":5443,"duration_us":1000000,"good":5400,"other":3,"bad":40,"lost":1,"broken":2,"timeouts":0,'
    '"p50_us":5725,"p99_us":9196,"p999_us":12348,"max_us":13358,"sample":"500 \\u0022oops\\u0022"}'
)
OUTPUT = f"""Running 1s test @ http://127.0.0.1:4711
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.88ms    1.12ms  13.36ms   80.01%
  5443 requests in 1.00s, 0.98MB read
{LINE}
"""


def test_the_figures_are_read_from_between_wrks_own_words():
    """Only good replies count as calls; everything that went wrong is summed up."""
    load = read_load(OUTPUT)
    assert (load.per_s, load.others_per_s, load.faults) == (5400, 3, 43)
    assert load.sample == '500 "oops"'


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused", '{"requests": 1}'])
def test_output_without_figures_is_no_figure(output):
    """A wrk that failed gives an error with what it said, never a zero."""
    with pytest.raises(WrkFailed, match=r"no figures|cannot be read"):
        read_load(output)


def test_a_missing_wrk_is_one_line_with_the_way_out(monkeypatch, tmp_path):
    """Nobody has to guess which package it is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WrkMissing, match="apt-get install wrk"):
        find_wrk()
