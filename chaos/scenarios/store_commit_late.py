"""A server's commit is on its way to the store when the connection ends, and arrives later. Whoever looks at once finds
nothing, and would be wrong to run the call again: a lookup has to wait for what is in flight, or keep it from
happening.
"""

from chaos.faults.store_reply_lost import StoreReplyLost
from chaos.runtime.base import LINKED
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="store-commit-late",
    order=131,
    teaches=__doc__,
    fault=lambda: StoreReplyLost("after"),
    endless=True,
    strikes_at=(0.0,),
    hold_s=0.05,
    attempt_timeout_s=6.0,
    may_break=frozenset({MEMORY}),
    store=LINKED,
)
