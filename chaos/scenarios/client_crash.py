"""The client dies while it waits, and with it the knowledge that there was a call. What runs on the server has no one
to tell; what the application sends again after its restart is a new call, unless an outbox on disk remembers the old
one.
"""

from chaos.faults.client_crash import ClientCrash
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="client-crash",
    order=76,
    teaches=__doc__,
    fault=ClientCrash,
    strikes_at=(0.2, 0.5),
    hold_s=0.15,
    must_be_red=frozenset({AT_LEAST_ONCE}),
    own_process=True,
)
