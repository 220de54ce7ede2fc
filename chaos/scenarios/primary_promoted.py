"""The primary dies for good and its synchronous standby takes its place. Whatever was acknowledged the standby had
before, so nothing is lost; whatever was under way is looked up where it can now be found.
"""

from chaos.faults.primary_promoted import PrimaryPromoted
from chaos.runtime.base import STANDBY
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="primary-promoted",
    order=136,
    teaches=__doc__,
    fault=PrimaryPromoted,
    hold_s=0.5,
    attempt_timeout_s=1.0,
    may_break=frozenset({MEMORY}),
    store=STANDBY,
    stores=frozenset({"postgres"}),
)
