"""Some clients' requests get through, and their replies do not. Every retry arrives, so every retry runs, unless the
server knows that it is one. No failure detector between the two could agree on who is dead.
"""

from chaos.faults.one_way_partition import OneWayPartition
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="one-way-partition-down",
    order=34,
    teaches=__doc__,
    fault=lambda: OneWayPartition("downstream"),
    hold_s=1.0,
    must_be_red=frozenset({AT_LEAST_ONCE}),
)
