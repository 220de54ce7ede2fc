from __future__ import annotations

from bench.report.stats import Spread, paired, spread


def test_the_median_is_not_moved_by_one_slow_round():
    """One round in which the machine did something else changes the extreme and not the figure."""
    assert spread([100, 101, 5, 99, 100]) == Spread(100, 5, 101, 5)


def test_a_ratio_is_taken_round_by_round():
    """A machine that is half as fast in the second round slows both, and the ratio stays."""
    assert paired([200, 100], [100, 50]) == [2, 2]


def test_a_round_that_only_one_of_a_pair_has_is_left_out():
    """An interrupted run, or a round in which nothing was done, gives no ratio instead of a false one."""
    assert paired([200, 100, 50], [100, 0]) == [2]
