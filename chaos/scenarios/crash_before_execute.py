"""The server crashes before it has begun. Nothing is left of the call but the client's wish;
a retry is its first run. Other calls of the moment may be committed and unanswered: a memory table doubles those.
"""

from chaos.faults.crash import Crash
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="crash-before-execute",
    order=50,
    teaches=__doc__,
    fault=lambda: Crash("before_execute"),
    quick=True,
    strikes_at=(0.2, 0.5),
    hold_s=0.1,
    may_break=frozenset({MEMORY}),
)
