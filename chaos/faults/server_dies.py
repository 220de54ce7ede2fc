"""The server kills itself with a call committed and not answered, and never comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.faults.crash import Crash

if TYPE_CHECKING:
    from chaos.runner.environment import Environment


class ServerDies(Crash):
    """What is asked later is asked the other server on its store."""

    def __init__(self) -> None:
        super().__init__("after_commit")

    def heal(self, env: Environment) -> None:
        env.server.kill()
        env.go_on_with_spare()
