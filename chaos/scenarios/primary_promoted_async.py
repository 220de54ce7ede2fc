"""The same with an asynchronous standby, which had not heard the last of it. Acknowledged effects are gone, and every
promise is broken. But a record goes the way of its effect, for one transaction holds both: calls are lost, and none is
doubled.
"""

from chaos.faults.primary_promoted import PrimaryPromoted
from chaos.runtime.base import ASYNC_STANDBY
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, MAYBE, MEMORY, Scenario

EVERY = frozenset({MAYBE, AT_LEAST_ONCE, MEMORY, AT_MOST_ONCE, EXACTLY_ONCE})
SCENARIO = Scenario(
    name="primary-promoted-async",
    order=137,
    teaches=__doc__,
    fault=lambda: PrimaryPromoted(falls_behind=True),
    hold_s=0.5,
    attempt_timeout_s=1.0,
    must_break=EVERY,
    must_lose=EVERY - {AT_LEAST_ONCE, MEMORY},
    store=ASYNC_STANDBY,
    stores=frozenset({"postgres"}),
)
