"""Messages come in pieces, and slowly. TCP promises bytes in order, not messages: half a request is not a request, half
a reply is not a reply, and a client that hangs up in the middle leaves the server with one of them.
"""

from chaos.faults.trickle import Trickle
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(name="trickle", order=44, teaches=__doc__, fault=Trickle, hold_s=1.2)
