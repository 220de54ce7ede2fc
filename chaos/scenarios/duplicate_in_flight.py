"""A duplicate needs no retry: the network may deliver twice what was sent once, here both copies at the same moment.
Not to retry (maybe) is then no protection either; only an identity is, for whichever copy comes second finds the first.
"""

from chaos.faults.duplicate_request import DuplicateRequest
from chaos.scenarios.base import AT_LEAST_ONCE, MAYBE, Scenario

SCENARIO = Scenario(
    name="duplicate-in-flight",
    order=85,
    teaches=__doc__,
    fault=DuplicateRequest,
    strikes_at=(0.1,),
    must_be_red=frozenset({MAYBE, AT_LEAST_ONCE}),
    must_break=frozenset({MAYBE}),
    proxy=True,
)
