"""The connection is closed in the middle of a request: in its header, in its body. Half a request must do nothing at
all, or "all or nothing" ends where the message does.
"""

from chaos.faults.truncated_message import TruncatedMessage
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(name="cut-mid-request", order=14, teaches=__doc__, fault=lambda: TruncatedMessage("upstream"))
