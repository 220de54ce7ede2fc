"""The seed of this test run: drawn at random, printed in the header, and given again by ONCEKV_SEED."""

from __future__ import annotations

import itertools
import os
import random

__all__ = ["SEED", "randomness", "unique"]

if not os.environ.get("ONCEKV_SEED"):
    os.environ["ONCEKV_SEED"] = str(random.SystemRandom().randrange(2**32))  # workers of pytest-xdist have the same
SEED = int(os.environ["ONCEKV_SEED"])
_count = itertools.count(1)


def randomness(purpose: str) -> random.Random:
    """A random source of its own for each purpose, so that one test's draws do not move another's."""
    return random.Random(f"{SEED}:{purpose}")


def unique(stem: str = "k") -> str:
    """A name that no other test of this run uses: tests share servers, and keep apart by their keys."""
    return f"{stem}-{SEED:x}-{next(_count)}"
