"""The request is lost. The client hears nothing, exactly as if the reply were lost; sending again is
right here.
"""

from chaos.faults.lost_request import LostRequest
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(name="lost-request", order=10, teaches=__doc__, fault=LostRequest, quick=True)
