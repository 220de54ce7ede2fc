"""A message is cut: after so many bytes the connection is closed (toxic `limit_data`), each link at another place.

A request that is cut must not run in part. A reply that is cut says nothing, whatever its first bytes claim: with its
header cut, HTTP libraries have taken it for an empty success.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.toxic import Toxic

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

# In the request line, in the header, between header and body or near it, in the body.
PLACES = {"upstream": (1, 60, 230, 290), "downstream": (1, 20, 110, 160)}


class TruncatedMessage(Toxic):
    """`stream`: "upstream" cuts requests, "downstream" replies."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def inject(self, env: Environment) -> None:
        places = PLACES[self._stream]
        for number, link in enumerate(env.links):
            link.add("limit_data", self._stream, bytes=places[number % len(places)])

    def fired(self, counts: Counts) -> int:
        """Attempts that left and did not arrive, or that arrived and whose clients heard nothing."""
        return counts.lost(self._stream)
