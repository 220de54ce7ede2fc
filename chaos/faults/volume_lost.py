"""The server dies and its disk with it: it comes back empty, and knows neither effects nor records nor sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class VolumeLost(Fault):
    """SIGKILL, and the data gone."""

    def __init__(self) -> None:
        self._losses = 0

    def inject(self, env: Environment) -> None:
        env.server.kill()
        env.server.lose_data()
        self._losses += 1

    def heal(self, env: Environment) -> None:
        env.revive()

    def fired(self, counts: Counts) -> int:
        """Times the data was lost."""
        return self._losses
