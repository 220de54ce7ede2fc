"""The connection is reset when the reply comes back: the same error as if it had been reset before, and this time the
call has run. Whoever takes it for a failure and sends again, runs it again.
"""

from chaos.faults.reset import Reset
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="reset-after",
    order=22,
    teaches=__doc__,
    fault=lambda: Reset("downstream"),
    must_be_red=frozenset({AT_LEAST_ONCE}),
)
