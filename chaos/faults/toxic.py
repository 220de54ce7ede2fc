"""A fault of the links: healing takes off whatever toxics it put on them. The base of those that are nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.faults.base import Fault

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["Toxic"]


class Toxic(Fault):
    """Links are healed, and that is all."""

    def heal(self, env: Environment) -> None:
        for link in env.links:
            link.heal()
