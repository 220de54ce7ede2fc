"""The server is slow, the client retries while the first attempt still runs. There is no record yet to answer from:
the duplicate must wait for the first and get its reply, and not run beside it.
"""

from chaos.faults.slow_call import SlowCall
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="duplicate-while-running",
    order=90,
    teaches=__doc__,
    fault=lambda: SlowCall(sleep_ms=800),
    quick=True,
    strikes_at=(0.2, 0.5),
    hold_s=0.9,
    must_be_red=frozenset({AT_LEAST_ONCE}),
)
