"""Calls run, their replies are lost, and the server restarts before they are sent again. The dedup table must be where
the effects are, on disk: then the new server answers calls that it has never seen. One kept in memory runs them again.
"""

from chaos.faults.restart import Restart
from chaos.scenarios.base import AT_LEAST_ONCE, MEMORY, Scenario

SCENARIO = Scenario(
    name="restart-keeps",
    order=72,
    teaches=__doc__,
    fault=Restart,
    quick=True,
    must_be_red=frozenset({AT_LEAST_ONCE, MEMORY}),
    may_break=frozenset({MEMORY}),
)
