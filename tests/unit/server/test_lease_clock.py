"""The lease clock counts what a server was up, and nothing else."""

from __future__ import annotations

from oncerpc.server.leases import GAP_MAX_MS, LeaseClock


class Time:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_it_starts_where_the_store_left_it() -> None:
    """Time between two lives of a server does not count."""
    time = Time()
    clock = LeaseClock(time, 5000)
    assert clock.now_ms() == 5000
    time.now_s += 0.25
    assert clock.now_ms() == 5250


def test_a_gap_counts_at_most_its_bound() -> None:
    """A process that was stopped for an hour has lost its clients no lease."""
    time = Time()
    clock = LeaseClock(time, 0)
    time.now_s += 3600
    assert clock.now_ms() == GAP_MAX_MS


def test_it_never_goes_back_and_meets_a_later_clock() -> None:
    """Two servers on one store agree on the later of their clocks."""
    time = Time()
    clock = LeaseClock(time, 700)
    assert clock.catch_up(900) == 900
    assert clock.catch_up(100) == 900


def test_an_idle_clock_is_saved_less_often() -> None:
    """Saving costs an fsync; under load it rides along with a commit."""
    time = Time()
    clock = LeaseClock(time, 0)
    time.now_s += 0.6
    now_ms = clock.now_ms()
    assert clock.save_is_due(now_ms, idle=False)
    assert not clock.save_is_due(now_ms, idle=True)
    clock.catch_up(now_ms)
    assert not clock.save_is_due(now_ms, idle=False)


def test_a_second_is_a_thousand_milliseconds() -> None:
    """A lease that was asked for in milliseconds runs out by them, and not a part in a thousand early."""
    now_s = 0.0
    clock = LeaseClock(lambda: now_s, 5)
    for _ in range(1000):
        now_s += 0.5
        clock.now_ms()
    assert clock.now_ms() == 5 + 500_000
