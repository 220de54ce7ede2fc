"""The network stays parted longer than the callers wait. At-most-once must then say "unknown" and mean it: 0 or 1.
Exactly-once has no deadline: its outbox keeps the call until the network heals.
"""

from chaos.faults.partition import Partition
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, MAYBE, MEMORY, Scenario

SCENARIO = Scenario(
    name="partition-past-deadline",
    order=40,
    teaches=__doc__,
    fault=Partition,
    quick=True,
    hold_s=1.5,
    call_timeout_s=0.6,
    must_say_unknown=frozenset({MAYBE, AT_LEAST_ONCE, MEMORY, AT_MOST_ONCE}),
)
