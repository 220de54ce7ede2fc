"""The example of every lecture: money moves between accounts while the server dies and links flap. A transfer is
atomic, so no money comes into being or goes, whatever fails; that each transfer happens once is another promise, and
it takes the dedup record in the same transaction.
"""

from chaos.faults.storm import Storm
from chaos.scenarios.base import AT_LEAST_ONCE, MEMORY, Scenario
from chaos.workload.generators.bank import Bank

SCENARIO = Scenario(
    name="bank",
    order=107,
    teaches=__doc__,
    fault=lambda: Storm(kills=4),
    quick=True,
    endless=True,
    strikes_at=(0.0,),
    attempt_timeout_s=0.4,
    generator=Bank,
    must_be_red=frozenset({AT_LEAST_ONCE}),
    may_break=frozenset({MEMORY}),
)
