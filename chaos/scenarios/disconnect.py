"""The server's network is gone and comes back. The links stand, and lead nowhere: no reset, no refusal, silence. To the
client it is a partition like every other.
"""

from chaos.faults.disconnect import Disconnect
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(
    name="disconnect",
    order=110,
    teaches=__doc__,
    fault=Disconnect,
    runtimes=frozenset({"compose"}),
)
