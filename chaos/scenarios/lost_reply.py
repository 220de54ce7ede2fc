"""The call runs and its reply is lost. The client hears nothing, exactly as if the request were lost, but sending again
runs it again: at-least-once doubles it, and only a dedup record tells the retry from a new call.
"""

from chaos.faults.lost_reply import LostReply
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="lost-reply", order=20, teaches=__doc__, fault=LostReply, quick=True, must_be_red=frozenset({AT_LEAST_ONCE})
)
