"""The store is out of reach, the servers are not. They may know much by heart, and must not say any of it: no call
succeeds until the store is back. Then all goes on by itself, and the retries find out what had happened.
"""

from chaos.faults.store_away import StoreAway
from chaos.runtime.base import LINKED
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="store-away",
    order=132,
    teaches=__doc__,
    fault=StoreAway,
    hold_s=1.0,
    attempt_timeout_s=1.0,
    may_break=frozenset({MEMORY}),
    store=LINKED,
)
