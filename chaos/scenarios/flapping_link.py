"""Links go and come, in one direction or the other, sooner than anybody has found out. Each moment of silence is short,
and each may fall on a request, on a reply, or on the retry of either.
"""

from chaos.faults.flapping import Flapping
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(name="flapping-link", order=36, teaches=__doc__, fault=Flapping, hold_s=2.0)
