"""The network parts client and server and comes back. What was under way when it parted is lost, some of it after it
ran; whoever retries until it heals gets every call done, and with an identity gets it done once.
"""

from chaos.faults.partition import Partition
from chaos.scenarios.base import Scenario

SCENARIO = Scenario(name="partition", order=30, teaches=__doc__, fault=Partition, quick=True)
