"""The network is slow both ways, beyond what clients wait: each message by another time (`latency` with jitter)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.toxic import Toxic

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

LATENCY_MS = 250
JITTER_MS = 150


class SlowNetwork(Toxic):
    """Nothing is lost; everything is late."""

    def inject(self, env: Environment) -> None:
        for link in env.links:
            for stream in ("upstream", "downstream"):
                link.add("latency", stream, latency=LATENCY_MS, jitter=JITTER_MS)

    def fired(self, counts: Counts) -> int:
        """Attempts that arrived, and whose clients had stopped waiting before the answer came."""
        return counts.unheard
