"""The store's leader and a server die, again and again, while clients call on. Every death leaves calls behind of which
nobody knows; every one of them is found out, by a server that lives and by members that are left.
"""

from chaos.faults.store_storm import StoreStorm
from chaos.runtime.base import OWN
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="store-storm",
    order=138,
    teaches=__doc__,
    fault=lambda: StoreStorm(rounds=4, promotes=False),
    endless=True,
    strikes_at=(0.0,),
    attempt_timeout_s=1.0,
    may_break=frozenset({MEMORY}),
    store=OWN,
    stores=frozenset({"etcd"}),
)
