"""The client says which replies it holds, so that the server may forget their records. Copies of those requests come
after that. The records are gone, and the copies must not look new: they are at or below the watermark, and refused.
"""

from chaos.faults.late_duplicate import LateDuplicate
from chaos.scenarios.base import AT_LEAST_ONCE, MAYBE, Scenario

SCENARIO = Scenario(
    name="late-after-ack",
    order=82,
    teaches=__doc__,
    fault=lambda: LateDuplicate(restart=False),
    quick=True,
    strikes_at=(0.1,),
    hold_s=0.5,
    endless=True,
    must_be_red=frozenset({MAYBE, AT_LEAST_ONCE}),
    must_break=frozenset({MAYBE}),
    proxy=True,
)
