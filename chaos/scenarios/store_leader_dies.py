"""The host of the store that takes the writes is killed. Of three members the others choose another leader and go on;
a database that stands alone is started again on its disk. What was answered is there, and what was under way is looked
up.
"""

from chaos.faults.store_leader import StoreLeaderGone
from chaos.runtime.base import OWN
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="store-leader-dies",
    order=133,
    teaches=__doc__,
    fault=lambda: StoreLeaderGone("dies", others_go_on=False),
    strikes_at=(0.15, 0.4),
    hold_s=1.0,
    attempt_timeout_s=1.0,
    may_break=frozenset({MEMORY}),
    store=OWN,
)
