"""The connection is reset before the request is there. The client gets an error at once instead of silence, and knows
no more than before: an error of the network never says what ran.
"""

from chaos.faults.reset import Reset
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(name="reset-before", order=12, teaches=__doc__, fault=lambda: Reset("upstream"))
