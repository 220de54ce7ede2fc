"""The store commits, and its answer to the server is lost: now it is the server that cannot tell, as a client cannot
behind a lost reply. To say "failed" would be a lie, to run the call again a second effect. It looks up what became of
the commit first, and then says so.
"""

from chaos.faults.store_reply_lost import StoreReplyLost
from chaos.runtime.base import LINKED
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="store-reply-lost",
    order=130,
    teaches=__doc__,
    fault=lambda: StoreReplyLost("before"),
    endless=True,
    strikes_at=(0.0,),
    hold_s=0.05,
    attempt_timeout_s=3.0,
    may_break=frozenset({MEMORY}),
    store=LINKED,
)
