"""Silence on a link: what is sent is swallowed and nobody is told (toxic `timeout` 0), in one direction or in both.

What the three faults of this kind share; they differ in the direction, and so in what proves that they fired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from chaos.faults.toxic import Toxic

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

__all__ = ["Blackhole"]


class Blackhole(Toxic):
    """`streams`: "upstream" swallows requests, "downstream" replies."""

    streams: ClassVar[tuple[str, ...]]

    def inject(self, env: Environment) -> None:
        for link in env.links:
            for stream in self.streams:
                link.add("timeout", stream, timeout=0)
