"""The tour: six scenes, one file each, in the order in which each answers the question of the one before."""

from __future__ import annotations

from chaos.live.scene_run import Scene
from chaos.live.scenes import crash, forget_safely, never_comes_back, nothing_comes_back, remember, send_it_again

__all__ = ["tour"]


def tour(*, is_shared: bool) -> list[Scene]:
    """In order. is_shared: the servers share a store."""
    last = never_comes_back.SHARED if is_shared else never_comes_back.ALONE
    return [nothing_comes_back.SCENE, send_it_again.SCENE, remember.SCENE, forget_safely.SCENE, crash.SCENE, last]
