"""The server crashes when the effect is done and not committed. Effect and record are in one transaction, so the
restart finds neither: a retry is the first run again. Two transactions would leave one of them.
"""

from chaos.faults.crash import Crash
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="crash-after-execute",
    order=60,
    teaches=__doc__,
    fault=lambda: Crash("after_execute"),
    quick=True,
    strikes_at=(0.2, 0.5),
    hold_s=0.1,
    may_break=frozenset({MEMORY}),
)
