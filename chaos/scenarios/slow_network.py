"""The network is slow beyond what anybody waits: nothing is lost, and nobody can tell. Every retry is a duplicate of a
call that will arrive, and some arrive after the retry. With an identity the first one to arrive runs.
"""

from chaos.faults.slow_network import SlowNetwork
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="slow-network", order=42, teaches=__doc__, fault=SlowNetwork, must_be_red=frozenset({AT_LEAST_ONCE})
)
