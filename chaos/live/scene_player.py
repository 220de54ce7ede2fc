"""Which scenes there are, and the one that is being played."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from chaos.live.playback import Playback, playable
from chaos.live.scene_run import Scene, SceneRun
from chaos.live.scenes import tour
from chaos.live.world import World

__all__ = ["ScenePlayer"]

END_MAX_S = 60.0  # a scenario in containers takes its containers away
PREFIX = "scenario:"


class ScenePlayer:
    """One scene at a time. `act` is set once the actions are there."""

    def __init__(self, store: str, runtime: str) -> None:
        self._store = store
        self._tour: dict[str, Scene] = {scene.id: scene for scene in tour(is_shared=store != "sqlite")}
        self._playable = playable(store, runtime)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._playing: SceneRun | Playback | None = None
        self.world: World | None = None
        self.act: Callable[[bytes], None] = lambda _body: None

    @property
    def is_playing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_playing_evidence(self) -> bool:
        """Whether what the page shows is no live world at the moment."""
        return self.is_playing and isinstance(self._playing, Playback)

    def listed(self) -> list[dict[str, Any]]:
        """For the world event."""
        scenes = [
            {"id": one.id, "title": one.title, "sentence": one.sentence, "tour": True} for one in self._tour.values()
        ]
        return scenes + [
            {"id": PREFIX + one.name, "title": one.name, "sentence": " ".join(one.teaches.split()), "tour": False}
            for one in self._playable.values()
        ]

    def command(self, scene: str) -> str:
        """What does the same on a command line."""
        assert self.world is not None
        name = scene.removeprefix(PREFIX)
        if name in self._playable:
            return " ".join(["python -m chaos", *Playback.words(name, self.world)])
        return f"python -m chaos live, and its scene {scene}"

    def begin(self, scene: str) -> str:
        """Play it, in a thread, instead of the one that is played; in words. Raises LookupError, RuntimeError."""
        assert self.world is not None
        name = scene.removeprefix(PREFIX)
        if scene not in self._tour and not (scene.startswith(PREFIX) and name in self._playable):
            raise LookupError(scene)
        with self._lock:
            self.end()
            if self.is_playing:
                raise RuntimeError("the scene before has not come to its end yet; try again")
            if scene in self._tour:
                self._playing = SceneRun(self._tour[scene], self.world, self._act)
                text = f"the scene: {self._tour[scene].title}"
            else:
                self._playing = Playback(self._playable[name], self.world)
                text = f"measure the scenario {name}, and play it from its evidence"
            self._thread = threading.Thread(target=self._play, args=(self._playing,), name="live-scene", daemon=True)
            self._thread.start()
        return text

    def end(self) -> None:
        """The scene that is played, if one is; waits for it."""
        playing, thread = self._playing, self._thread
        if playing is not None and thread is not None and thread.is_alive():
            playing.end()
            thread.join(END_MAX_S)

    def _play(self, playing: SceneRun | Playback) -> None:
        assert self.world is not None
        was_running = self.world.is_running
        try:
            playing.play()
        finally:
            if was_running and not playing.is_whole and not self.world.journal.is_closed:
                self.world.set_workload(running=True)

    def _act(self, action: dict[str, Any]) -> None:
        self.act(json.dumps(action).encode())
