"""Two of three members of the store die. The third has all the data and may not use it: without a majority nobody can
know that nothing newer was decided elsewhere. So nothing succeeds, reads included, until one of them is back.
"""

from chaos.faults.store_majority_lost import StoreMajorityLost
from chaos.runtime.base import OWN
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="store-majority-lost",
    order=135,
    teaches=__doc__,
    fault=StoreMajorityLost,
    hold_s=1.0,
    attempt_timeout_s=1.0,
    may_break=frozenset({MEMORY}),
    store=OWN,
    stores=frozenset({"etcd"}),
)
