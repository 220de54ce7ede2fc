"""No table can grow for ever, so a session that nobody renews ends, and its records with it. From then on nobody can
say what ran: the server must refuse everything of that session, say why, and never run it, after a restart too. That
is the limit of exactly-once: its clients may be told "unknown" here. Who has no session gets every late copy run.
"""

from chaos.faults.expiry import Expiry
from chaos.scenarios.base import AT_LEAST_ONCE, EXACTLY_ONCE, MAYBE, Scenario

LEASE_MS = 600

SCENARIO = Scenario(
    name="session-expiry",
    order=86,
    lecture=__doc__,
    fault=lambda: Expiry(LEASE_MS),
    hold_s=0.4,
    lease_ms=LEASE_MS,
    courier=True,
    must_be_red=frozenset({MAYBE, AT_LEAST_ONCE}),
    must_break=frozenset({MAYBE}),
    may_say_unknown=frozenset({EXACTLY_ONCE}),
)
