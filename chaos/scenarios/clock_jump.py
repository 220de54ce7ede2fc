"""Clocks lie: an operator sets one, NTP steps it, a machine comes back from a reboot with another. A lease that is
counted by such a clock ends an hour early, and with it the records of calls that are still being sent; or it never
ends.
"""

from chaos.faults.clock_jump import ClockJump
from chaos.scenarios.base import AT_LEAST_ONCE, MEMORY, Scenario

SCENARIO = Scenario(
    name="clock-jump",
    order=88,
    teaches=__doc__,
    fault=ClockJump,
    hold_s=0.4,
    own_clock=True,
    must_be_red=frozenset({AT_LEAST_ONCE, MEMORY}),
    may_break=frozenset({MEMORY}),
)
