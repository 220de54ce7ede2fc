"""The server crashes when the effect is committed and the reply not sent. The restart finds both effect and record, and
answers the retry from the record. A dedup table in memory has forgotten it, and runs the call again.
"""

from chaos.faults.crash import Crash
from chaos.scenarios.base import AT_LEAST_ONCE, MEMORY, Scenario

SCENARIO = Scenario(
    name="crash-after-commit",
    order=70,
    teaches=__doc__,
    fault=lambda: Crash("after_commit"),
    quick=True,
    strikes_at=(0.2, 0.5),
    hold_s=0.1,
    must_be_red=frozenset({AT_LEAST_ONCE, MEMORY}),
    may_break=frozenset({MEMORY}),
)
