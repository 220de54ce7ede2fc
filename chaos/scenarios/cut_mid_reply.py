"""The connection is closed in the middle of a reply. Its first line may already have said 200 OK: a reply that cannot
be read to its end is not a reply, neither a success nor a failure, and the call has run.
"""

from chaos.faults.truncated_message import TruncatedMessage
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="cut-mid-reply",
    order=24,
    teaches=__doc__,
    fault=lambda: TruncatedMessage("downstream"),
    must_be_red=frozenset({AT_LEAST_ONCE}),
)
