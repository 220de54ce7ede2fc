"""The first attempt is held back in the network; the retry overtakes it on another way, and is settled. Then the first
attempt arrives, from a client that has long hung up. If the call has been acknowledged meanwhile its record is gone,
and a missing record must not make it look new: it is below the watermark.
"""

from chaos.faults.delayed_request import DelayedRequest
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="delayed-duplicate",
    order=80,
    teaches=__doc__,
    fault=DelayedRequest,
    hold_s=0.8,
    must_be_red=frozenset({AT_LEAST_ONCE}),
    spare_link=True,
    proxy=True,
)
