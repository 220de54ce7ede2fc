"""Links flap: each goes silent for a moment, in one direction or the other, and comes back, again and again."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from chaos.evidence import Counts
from chaos.faults.toxic import Toxic

if TYPE_CHECKING:
    from chaos.runner.environment import Environment

SILENT_S = (0.05, 0.3)
BREATH_S = (0.02, 0.1)


class Flapping(Toxic):
    """Half of the links at a time, drawn from the seed."""

    def hold(self, env: Environment, hold_s: float) -> None:
        rng = random.Random(f"{env.seed}/flapping")
        end_s = time.monotonic() + hold_s
        while time.monotonic() < end_s:
            self.flap(env, rng)

    def flap(self, env: Environment, rng: random.Random) -> None:
        """Once."""
        for link in rng.sample(list(env.links), max(1, len(env.links) // 2)):
            link.add("timeout", rng.choice(["upstream", "downstream"]), timeout=0)
        env.wait(rng.uniform(*SILENT_S))
        self.heal(env)
        env.wait(rng.uniform(*BREATH_S))

    def fired(self, counts: Counts) -> int:
        """Attempts that left a client and got no answer."""
        return counts.unanswered
