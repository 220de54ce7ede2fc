"""The server is slow, wherever a call may stand: not begun, done and not committed, committed and not answered. To the
client the three are one: silence. Whatever the retry meets, it waits for the first and gets its reply.
"""

from chaos.faults.slow_server import SlowServer
from chaos.scenarios.base import AT_LEAST_ONCE, Scenario

SCENARIO = Scenario(
    name="slow-server",
    order=95,
    teaches=__doc__,
    fault=SlowServer,
    hold_s=0.5,
    must_be_red=frozenset({AT_LEAST_ONCE}),
)
