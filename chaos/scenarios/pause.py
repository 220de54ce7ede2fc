"""The server stands still and goes on: to the client it is slow, lost or dead, and nobody can tell which. What it got
meanwhile it may run late, beside the retries; without identities some calls then run twice.
"""

from chaos.faults.pause import Pause
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(name="pause", order=100, teaches=__doc__, fault=Pause, quick=True)
