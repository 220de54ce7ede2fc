"""The server stands still for a while (SIGSTOP, `docker pause`): it keeps its connections and answers nothing.

What was sent meanwhile waits in its sockets, and some of it runs when it goes on, although the clients have closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class Pause(Fault):
    """A long stop of the world."""

    def inject(self, env: Environment) -> None:
        env.server.pause()

    def heal(self, env: Environment) -> None:
        env.server.resume()

    def fired(self, counts: Counts) -> int:
        """Attempts that left a client and got no answer."""
        return counts.unanswered
