"""The client cannot tell which message was lost, nor how often: the request, the reply, or the reply to the retry as
well. Single messages are lost here, down to the 3rd reply of one call; each attempt more must find the same record.
"""

from chaos.faults.targeted_loss import TargetedLoss
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="aimed-loss",
    order=25,
    teaches=__doc__,
    fault=TargetedLoss,
    strikes_at=(0.0,),
    hold_s=1.5,
    must_be_red=frozenset({AT_LEAST_ONCE}),
    proxy=True,
)
