"""The server is taken off its network and put back: a partition below the links, which Toxiproxy has no part in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class Disconnect(Fault):
    """No network."""

    def __init__(self) -> None:
        self._is_off = False

    def inject(self, env: Environment) -> None:
        self._is_off = True
        env.server.disconnect()

    def heal(self, env: Environment) -> None:
        if self._is_off:
            env.server.connect()
        self._is_off = False

    def fired(self, counts: Counts) -> int:
        """Attempts that left a client and got no answer."""
        return counts.unanswered
