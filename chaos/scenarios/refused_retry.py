"""The server ran the call, its reply is lost, and the retry is told no: too busy, or too large for a proxy on the way.
That no is about the retry alone. A client that hands it to its caller as the answer to the call says that nothing
happened, and something did: it must try again, or say unknown. Exactly-once too says unknown to a no for good.
"""

from chaos.faults.refused_retry import RefusedRetry
from chaos.scenarios.base import AT_LEAST_ONCE, IDENTIFIED, MAYBE, Scenario

SCENARIO = Scenario(
    name="refused-retry",
    order=26,
    teaches=__doc__,
    fault=RefusedRetry,
    strikes_at=(0.0,),
    hold_s=1.5,
    must_be_red=frozenset({AT_LEAST_ONCE}),
    must_say_unknown=frozenset({MAYBE, AT_LEAST_ONCE}) | IDENTIFIED,
    proxy=True,
)
