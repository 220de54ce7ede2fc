"""Attempts are held back on the way there and arrive much later, when the client has long closed the connection.

Toxiproxy cannot duplicate, but it can hold back (toxic `latency`, upstream) while the client's retry overtakes on its
second link: the server then gets the first attempt as a late duplicate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

LATENCY_MS = 600  # beyond what clients wait, retry included; within the time that the fault holds


class DelayedRequest(Fault):
    """The first links are slow, the second ones are not."""

    def inject(self, env: Environment) -> None:
        for link in env.first_links:
            link.add("latency", "upstream", latency=LATENCY_MS)

    def heal(self, env: Environment) -> None:
        for link in env.first_links:
            link.heal()

    def fired(self, counts: Counts) -> int:
        """Attempts that arrived although their clients had stopped waiting."""
        return counts.unheard
