"""The server forgets acknowledged records, crashes, comes back, and then gets copies of those requests. Only a
watermark as durable as the effects can refuse them; one in memory is gone with the records, and every copy runs again.
"""

from chaos.faults.late_duplicate import LateDuplicate
from chaos.scenarios.base import AT_LEAST_ONCE, MAYBE, MEMORY, Scenario

SCENARIO = Scenario(
    name="stale-after-restart",
    order=84,
    teaches=__doc__,
    fault=lambda: LateDuplicate(restart=True),
    quick=True,
    strikes_at=(0.1,),
    hold_s=0.5,
    endless=True,
    must_be_red=frozenset({MAYBE, AT_LEAST_ONCE, MEMORY}),
    may_break=frozenset({MEMORY}),
    must_break=frozenset({MAYBE}),
    proxy=True,
)
