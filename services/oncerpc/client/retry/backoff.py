"""When to try again: a bounded exponential schedule with full jitter; pure, so that it can be shown to be
right.

Full jitter is Marc Brooker's ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015): the wait before
a retry is drawn evenly from 0 up to a ceiling that doubles, so that clients that failed together do not come
back together.

Place on the way: retry (2), between the stub (1) and the transport (3); *whether* to try again is decided in
`decision`. Guarantee: a wait never reaches past the call's deadline; attempts and waits are bounded by the
policy. Limit: under exactly-once without a deadline the number of attempts is bounded by nothing but the
outage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["RetryPolicy", "attempt_timeout_s", "backoff_delay_s", "delay_ceiling_s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently; all times in seconds.

    first_delay_s: ceiling of the wait before the first retry. factor: what it grows by each time, up to
    delay_max_s. attempts_max: None means until the deadline. attempt_timeout_s: one attempt's whole time, from
    connecting to the reply's last byte. attempt_min_s: an attempt that would get less is not begun, for it would only
    turn a definite failure into an unknown one. retry_after_max_s: the longest server's wish that is honoured.
    """

    first_delay_s: float = 0.05
    factor: float = 2.0
    delay_max_s: float = 2.0
    attempts_max: int | None = None
    attempt_timeout_s: float = 2.0
    attempt_min_s: float = 0.01
    retry_after_max_s: float = 30.0

    def __post_init__(self) -> None:
        if self.attempt_timeout_s <= 0 or self.attempt_min_s < 0:
            raise ValueError("an attempt needs a timeout above 0")
        if self.first_delay_s < 0 or self.delay_max_s < 0 or self.retry_after_max_s < 0 or self.factor < 1:
            raise ValueError("delays must not be negative, and factor not below 1")
        if self.attempts_max is not None and self.attempts_max < 1:
            raise ValueError("attempts_max must be at least 1, or None")


def backoff_delay_s(
    policy: RetryPolicy,
    attempts: int,
    remaining_s: float | None,
    retry_after_s: float | None,
    uniform: Callable[[float, float], float],
) -> float | None:
    """How long to wait after `attempts` attempts (1 or more) before the next; None: there shall be no next.

    `remaining_s` is the time to the call's deadline, None without one. `uniform(a, b)` draws from [a, b].
    A server's Retry-After is a lower bound, itself bounded by the policy.
    """
    if policy.attempts_max is not None and attempts >= policy.attempts_max:
        return None
    wait = uniform(0.0, delay_ceiling_s(policy, attempts))
    if retry_after_s is not None:
        wait = max(wait, min(retry_after_s, policy.retry_after_max_s))
    if remaining_s is not None and wait + policy.attempt_min_s > remaining_s:
        return None
    return wait


def delay_ceiling_s(policy: RetryPolicy, attempts: int) -> float:
    """The longest jittered wait after `attempts` attempts."""
    assert attempts >= 1
    ceiling = policy.first_delay_s
    for _ in range(attempts - 1):
        if ceiling == 0 or ceiling >= policy.delay_max_s or policy.factor == 1:
            break
        ceiling *= policy.factor
    return min(ceiling, policy.delay_max_s)


def attempt_timeout_s(policy: RetryPolicy, remaining_s: float | None) -> float | None:
    """What the next attempt may take; None: too little is left to begin one."""
    if remaining_s is None:
        return policy.attempt_timeout_s
    if remaining_s < policy.attempt_min_s or remaining_s <= 0:
        return None
    return min(policy.attempt_timeout_s, remaining_s)
