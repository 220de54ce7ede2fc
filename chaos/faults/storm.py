"""Everything at once: links flap while the server is killed at random moments and started again."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.base import Fault
from chaos.faults.flapping import Flapping
from chaos.runner.environment import Interrupted

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

LIFE_S = (0.02, 0.5)


class Storm(Fault):
    """`kills`: how often the server dies by SIGKILL."""

    def __init__(self, kills: int) -> None:
        self._kills = kills
        self._deaths = 0
        self._calm = threading.Event()
        self._flapping = Flapping()
        self._flapper: threading.Thread | None = None

    def inject(self, env: Environment) -> None:
        self._flapper = threading.Thread(target=self._flap, args=(env,), name="flapper", daemon=True)
        self._flapper.start()

    def hold(self, env: Environment, hold_s: float) -> None:
        rng = random.Random(f"{env.seed}/kills")
        for _ in range(self._kills):
            env.wait(rng.uniform(*LIFE_S))
            env.server.kill()
            self._deaths += 1
            env.server.restart()

    def heal(self, env: Environment) -> None:
        self._calm.set()
        if self._flapper is not None:
            self._flapper.join()
        self._flapping.heal(env)
        env.revive()

    def fired(self, counts: Counts) -> int:
        """Deaths of the server."""
        return self._deaths

    def proof(self) -> list[str]:
        return [f"{self._deaths} times SIGKILL to the server"]

    def _flap(self, env: Environment) -> None:
        rng = random.Random(f"{env.seed}/flaps")
        try:
            while not self._calm.is_set():
                self._flapping.flap(env, rng)
        except Interrupted:
            return
