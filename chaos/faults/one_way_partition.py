"""A partition in one direction, and only for some: every other client is cut off, the rest go on as if nothing were.

To the server a client whose requests are swallowed is silent; to a client whose replies are swallowed the server is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.toxic import Toxic

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class OneWayPartition(Toxic):
    """`stream`: "upstream" swallows requests, "downstream" replies."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def inject(self, env: Environment) -> None:
        for link in env.links[::2]:
            link.add("timeout", self._stream, timeout=0)

    def fired(self, counts: Counts) -> int:
        """Attempts that left and did not arrive, or that arrived and whose clients heard nothing."""
        return counts.lost(self._stream)
