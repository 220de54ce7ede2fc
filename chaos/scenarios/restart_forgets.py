"""The same restart with every server keeping its dedup table in memory alone, as the first at-most-once of every course
does. It passes all tests but this one: at-most-once and exactly-once, asked of a server that forgets, are words.
"""

from chaos.faults.restart import Restart
from chaos.scenarios.base import AT_LEAST_ONCE, IDENTIFIED, Scenario

SCENARIO = Scenario(
    name="restart-forgets",
    order=74,
    teaches=__doc__,
    fault=Restart,
    delivery="memory",
    must_be_red=frozenset({AT_LEAST_ONCE}) | IDENTIFIED,
    must_break=IDENTIFIED,
)
