import ast
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncerpc.client.retry import backoff
from oncerpc.client.retry.backoff import RetryPolicy, attempt_timeout_s, backoff_delay_s, delay_ceiling_s

POLICY = RetryPolicy(first_delay_s=0.1, factor=2, delay_max_s=1.0, attempts_max=None, attempt_min_s=0.01)


def highest(low, high):
    """A random source that always draws the upper end."""
    return high


def test_the_ceiling_doubles_up_to_its_bound():
    """The longest wait grows exponentially and then stays at delay_max_s."""
    assert [delay_ceiling_s(POLICY, attempts) for attempts in range(1, 7)] == pytest.approx(
        [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    )


def test_the_ceiling_of_a_very_long_outage_is_still_the_bound():
    """The ten-thousandth retry waits no longer than delay_max_s, and computing that overflows nothing."""
    assert delay_ceiling_s(POLICY, 10_000) == 1.0


def test_full_jitter_draws_evenly_from_nothing_to_the_ceiling():
    """A wait may be anything from 0 to the ceiling, and is half of it on average."""
    draw = random.Random(7).uniform
    waits = [backoff_delay_s(POLICY, 3, None, None, draw) or 0.0 for _ in range(4000)]
    assert min(waits) < 0.01
    assert max(waits) > 0.39
    assert sum(waits) / len(waits) == pytest.approx(0.2, rel=0.05)


def test_retry_after_is_a_lower_bound():
    """A server that asks for half a second gets at least half a second."""
    assert backoff_delay_s(POLICY, 1, None, 0.5, highest) == 0.5
    assert backoff_delay_s(POLICY, 4, None, 0.5, highest) == pytest.approx(0.8)


def test_retry_after_is_itself_bounded():
    """No server can put a client to sleep for an hour."""
    policy = RetryPolicy(retry_after_max_s=3.0)
    assert backoff_delay_s(policy, 1, None, 3600.0, highest) == 3.0


def test_no_wait_reaches_past_the_deadline():
    """Where the wait and the shortest attempt do not fit before the deadline, there is no next attempt."""
    assert backoff_delay_s(POLICY, 1, 0.2, None, highest) == pytest.approx(0.1)
    assert backoff_delay_s(POLICY, 1, 0.105, None, highest) is None
    assert backoff_delay_s(POLICY, 1, 5.0, 10.0, highest) is None


def test_attempts_are_bounded():
    """With attempts_max there is no wait after the last one."""
    policy = RetryPolicy(attempts_max=2)
    assert backoff_delay_s(policy, 1, None, None, highest) is not None
    assert backoff_delay_s(policy, 2, None, None, highest) is None


@given(
    st.integers(1, 200),
    st.none() | st.floats(-1, 100),
    st.none() | st.floats(0, 100),
    st.floats(0, 1),
)
def test_a_wait_keeps_all_its_bounds_at_once(attempts, left_s, wish_s, share):
    """Whatever comes together: never negative, never past the deadline, never over both bounds."""
    wait = backoff_delay_s(POLICY, attempts, left_s, wish_s, lambda low, high: low + share * (high - low))
    if wait is not None:
        assert 0 <= wait <= max(POLICY.delay_max_s, POLICY.retry_after_max_s)
        assert left_s is None or wait < left_s
        assert wish_s is None or wait >= min(wish_s, POLICY.retry_after_max_s)


def test_an_attempt_gets_its_own_time_or_what_is_left():
    """One attempt never outlives the call, and none is begun with too little to succeed."""
    assert attempt_timeout_s(POLICY, None) == POLICY.attempt_timeout_s
    assert attempt_timeout_s(POLICY, 0.5) == 0.5
    assert attempt_timeout_s(POLICY, 0.001) is None
    assert attempt_timeout_s(POLICY, -1) is None
    assert attempt_timeout_s(RetryPolicy(attempt_min_s=0), 0) is None


@pytest.mark.parametrize(
    "choice",
    [
        {"attempts_max": 0},
        {"attempt_timeout_s": 0},
        {"first_delay_s": -1},
        {"factor": 0.5},
        {"delay_max_s": -1},
    ],
    ids=lambda choice: next(iter(choice)),
)
def test_a_policy_without_sense_is_refused(choice):
    """A policy that could not be obeyed is an error where it is made, not where it is used."""
    with pytest.raises(ValueError, match=r"must|needs"):
        RetryPolicy(**choice)


def test_the_schedule_is_pure():
    """The schedule imports no clock, no random source and no network."""
    tree = ast.parse(Path(backoff.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert modules == {"__future__", "collections.abc", "dataclasses"}
