"""The disk is lost. No dedup table survives what it stands on: acknowledged effects are gone, and so are the records
that would know. Every promise is broken here; what it takes is more than one disk, and that is another lecture.
"""

from chaos.faults.volume_lost import VolumeLost
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, MAYBE, MEMORY, Scenario

SCENARIO = Scenario(
    name="volume-lost",
    order=120,
    teaches=__doc__,
    fault=VolumeLost,
    quick=True,
    strikes_at=(0.5,),
    hold_s=0.1,
    breaks_disk=True,
    teaches_shared="""The server's disk is lost. On a store that servers share it held nothing that matters: the server
    comes back, or another one goes on, and effects, records and sessions are where they were.""",
    must_break=frozenset({MAYBE, AT_LEAST_ONCE, MEMORY, AT_MOST_ONCE, EXACTLY_ONCE}),
)
