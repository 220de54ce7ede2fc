"""Connections are reset (toxic `reset_peer`): the client is told at once, by an error that does not say what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.toxic import Toxic

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class Reset(Toxic):
    """`stream`: "upstream" resets before the request reaches the server, "downstream" when the reply comes back."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def inject(self, env: Environment) -> None:
        for link in env.links:
            link.add("reset_peer", self._stream, timeout=0)

    def fired(self, counts: Counts) -> int:
        """Attempts that left and did not arrive, or that arrived and whose clients heard nothing."""
        return counts.lost(self._stream)
