"""Everything at once: links flap while the server is killed at random moments and started again."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.faults.flapping import Flapping
from chaos.world import Interrupted

if TYPE_CHECKING:
    from chaos.world import World

LIFE_S = (0.02, 0.5)


class Storm(Fault):
    """`kills`: how often the server dies by SIGKILL."""

    def __init__(self, kills: int) -> None:
        self._kills = kills
        self._deaths = 0
        self._calm = threading.Event()
        self._flapping = Flapping()
        self._flapper: threading.Thread | None = None

    def inject(self, world: World) -> None:
        self._flapper = threading.Thread(target=self._flap, args=(world,), name="flapper", daemon=True)
        self._flapper.start()

    def hold(self, world: World, hold_s: float) -> None:
        rng = random.Random(f"{world.seed}/kills")
        for _ in range(self._kills):
            world.wait(rng.uniform(*LIFE_S))
            world.server.kill()
            self._deaths += 1
            world.server.restart()

    def heal(self, world: World) -> None:
        self._calm.set()
        if self._flapper is not None:
            self._flapper.join()
        self._flapping.heal(world)
        world.revive()

    def fired(self, counts: Counts) -> int:
        """Deaths of the server."""
        return self._deaths

    def proof(self) -> list[str]:
        return [f"{self._deaths} times SIGKILL to the server"]

    def _flap(self, world: World) -> None:
        rng = random.Random(f"{world.seed}/flaps")
        try:
            while not self._calm.is_set():
                self._flapping.flap(world, rng)
        except Interrupted:
            return
