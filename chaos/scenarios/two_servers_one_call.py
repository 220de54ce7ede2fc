"""Two servers of one store are handed the same call at the same moment. Neither knows of the other; what they share is
the store, so the record must stand there, where one of them writes it and the other one finds it. Records in a server's
memory are no use.
"""

from chaos.faults.duplicate_request import DuplicateRequest
from chaos.scenarios.base import AT_LEAST_ONCE, MAYBE, MEMORY, Scenario

SCENARIO = Scenario(
    name="two-servers-one-call",
    order=127,
    teaches=__doc__,
    fault=lambda: DuplicateRequest(at_two_servers=True),
    strikes_at=(0.1,),
    attempt_timeout_s=1.0,
    must_be_red=frozenset({MAYBE, AT_LEAST_ONCE, MEMORY}),
    must_break=frozenset({MAYBE, MEMORY}),
    proxy=True,
    spare_server=True,
)
