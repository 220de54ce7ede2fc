"""Servers die, again and again, and in the middle of it the primary, for good. The servers that come back find the new
one by themselves, and on it every record of what was answered on the old one.
"""

from chaos.faults.store_storm import StoreStorm
from chaos.runtime.base import STANDBY
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="promotion-storm",
    order=139,
    teaches=__doc__,
    fault=lambda: StoreStorm(rounds=4, promotes=True),
    endless=True,
    strikes_at=(0.0,),
    attempt_timeout_s=1.0,
    may_break=frozenset({MEMORY}),
    store=STANDBY,
    stores=frozenset({"postgres"}),
)
