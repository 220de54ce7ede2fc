"""Most members of the store die at once. The one that is left may neither write nor read: it cannot know what others
have decided without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.faults.store_away import StoreAway

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class StoreMajorityLost(StoreAway):
    """SIGKILL to all but one."""

    def take_away(self, env: Environment) -> str:
        return env.store.kill_majority()
