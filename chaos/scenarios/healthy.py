"""Nothing fails. The baseline: whatever the semantics, every call has one effect, and the harness itself adds none."""

from chaos.faults.base import Fault
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(
    name="healthy", order=0, teaches=__doc__, fault=Fault, quick=True, strikes_at=(), attempt_timeout_s=5.0
)
