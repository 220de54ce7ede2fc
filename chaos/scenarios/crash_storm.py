"""Everything at once, again and again: the server is killed at random moments while links flap, and clients call on. No
single fault is new; what is tested is that none of the answers to them stands in the way of another.
"""

from chaos.faults.storm import Storm
from chaos.scenarios.base import AT_LEAST_ONCE, MEMORY, Scenario

SCENARIO = Scenario(
    name="crash-storm",
    order=105,
    teaches=__doc__,
    fault=lambda: Storm(kills=8),
    endless=True,
    strikes_at=(0.0,),
    attempt_timeout_s=0.4,
    must_be_red=frozenset({AT_LEAST_ONCE}),
    may_break=frozenset({MEMORY}),
)
