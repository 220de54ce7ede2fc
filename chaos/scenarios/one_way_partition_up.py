"""Some clients' requests do not get through; replies would. They hear nothing, the others go on, and the server knows
of no failure at all. Sending again is harmless, if only one could know.
"""

from chaos.faults.one_way_partition import OneWayPartition
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(
    name="one-way-partition-up",
    order=32,
    teaches=__doc__,
    fault=lambda: OneWayPartition("upstream"),
    hold_s=1.0,
)
