"""The member of the store that led is cut off from the others, and does not know it. The others go on without it; and
when it is heard again it must not answer with what was true before.
"""

from chaos.faults.store_leader import StoreLeaderGone
from chaos.runtime.base import OWN
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="store-minority-cut-off",
    order=134,
    teaches=__doc__,
    fault=lambda: StoreLeaderGone("falls silent", others_go_on=True),
    strikes_at=(0.15, 0.4),
    hold_s=1.0,
    attempt_timeout_s=1.0,
    may_break=frozenset({MEMORY}),
    store=OWN,
    stores=frozenset({"etcd"}),
)
