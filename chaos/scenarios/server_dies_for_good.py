"""The server commits a call, and dies before it can say so; it never comes back. The client asks another server on the
same store, which finds the record and answers the retry with it: what must outlive a server must not stand in it alone.
"""

from chaos.faults.server_dies import ServerDies
from chaos.scenarios.base import MEMORY, Scenario

SCENARIO = Scenario(
    name="server-dies-for-good",
    order=125,
    teaches=__doc__,
    fault=ServerDies,
    strikes_at=(0.4,),
    hold_s=0.1,
    may_break=frozenset({MEMORY}),
    spare_server=True,
)
