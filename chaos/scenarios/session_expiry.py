"""No table can grow for ever, so a session that nobody renews ends, and its records with it. From then on nobody can
say what ran: the server must refuse everything of that session, say why, and never run it, after a restart too. That
is the limit of exactly-once: its clients may be told "unknown" here. Who has no session gets every late copy run.
"""

from chaos.faults.session_expiry import SessionExpiry
from chaos.scenarios.base import AT_LEAST_ONCE, IDENTIFIED, MAYBE, MEMORY, Scenario

LEASE_MS = 600

SCENARIO = Scenario(
    name="session-expiry",
    order=86,
    teaches=__doc__,
    fault=lambda: SessionExpiry(LEASE_MS),
    hold_s=0.8,  # longer than a call that times out and the pause after it: only what begins meanwhile is kept
    lease_ms=LEASE_MS,
    proxy=True,
    must_be_red=frozenset({MAYBE, AT_LEAST_ONCE}),
    may_break=frozenset({MEMORY}),  # a call of a new session, cut off by the restart, is tried again
    must_break=frozenset({MAYBE}),
    may_say_unknown=IDENTIFIED,
)
