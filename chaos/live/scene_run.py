"""One run of a scene: a script of actions, which anybody could have done by hand, and of sentences.

A scene acts by the same actions as the page, waits for what really happens, and ends with a claim that is
measured: "failed" when the world did otherwise. While a sentence is to be read, time stands still.

Guarantee: one scene at a time, in a world that starts afresh, so that the counts are the scene's alone; one that is
ended, fails or comes to its end leaves links open and servers up.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from chaos.live.world import World
from chaos.runtime.base import ServerError

if TYPE_CHECKING:
    from chaos.live.messages import Message

__all__ = ["ClaimFailed", "Ended", "Scene", "SceneRun"]

WAIT_MAX_S = 60.0
READ_MIN_S = 3.0  # for the picture
READ_CHARACTERS_S = 14.0
LOOK_MAX_S = 10.0
OWNER = "scene"


class Ended(Exception):
    """Somebody ended the scene."""


class ClaimFailed(Exception):
    """The world did not do what the scene says of it."""


@dataclass(frozen=True)
class Scene:
    """One scene of the tour. of: how many sentences it has."""

    id: str
    title: str
    sentence: str
    of: int
    play: Callable[[SceneRun], None]


class SceneRun:
    """What a scene's script can do. `act` does an action as the page does; `cast` is the client that plays."""

    cast = "c0"

    def __init__(self, scene: Scene, world: World, act: Callable[[dict[str, Any]], None]) -> None:
        self.world = world
        self._scene, self._act = scene, act
        self._from = world.journal.last
        self._number = 0
        self._is_ended = threading.Event()
        self.is_whole = False
        """It came to its last sentence, which stays: nobody calls by himself after it."""

    @property
    def other_links(self) -> list[str]:
        """Of the client that plays, to other servers than the first."""
        return [link.id for link in self.world.links.values() if link.client == self.cast and link.server != "s0"]

    def play(self) -> None:
        """From begin to end; whatever comes, it is told."""
        state = "ended"
        self.world.pace.guide(on=True)
        try:
            self._tell("began")
            self._begin()
            self._scene.play(self)
            self.is_whole = True
        except Ended:
            pass
        except (ClaimFailed, ServerError, OSError) as error:
            self.world.journal.add("problem", text=f"the scene {self._scene.title!r} went otherwise: {error}")
            state = "failed"
        finally:
            with contextlib.suppress(ServerError, requests.RequestException):
                self._mend()
            self.world.pace.guide(on=False)
            self._tell(state)

    def end(self) -> None:
        """As soon as it can."""
        self._is_ended.set()
        self.world.pace.cancel_of(OWNER)
        self.world.journal.wake()

    def say(self, text: str, *, client: str = "", server: str = "", nobody: str = "") -> None:
        """One sentence, and what each side knows at this moment; time stands still until it is read."""
        self._check_end()
        self._number += 1
        self._tell("step", text)
        self.world.journal.add("step", text=text, client_knows=client, server_knows=server, nobody_knows=nobody)
        letters = len(text) + len(client) + len(server) + len(nobody)
        seconds = (READ_MIN_S + letters / READ_CHARACTERS_S) * self.world.options.reading
        self.world.pace.read(seconds, "the scene goes on", OWNER)
        self._check_end()

    def do(self, action: str, **facts: str) -> None:
        """An action."""
        self._check_end()
        self._act({"action": action, **facts})

    def call(self, client: str = "") -> str:
        """Let a client make a call; its name."""
        before = self.world.journal.last
        self.do("call", client=client or self.cast)
        return str(self.wait(lambda event: event["n"] > before and event["type"] == "call")["call"])

    def message(self, call: str, kind: str, attempt: int = 1) -> Message:
        """A message of that call, as soon as it is on its way."""
        event = self.wait(
            lambda event: event["type"] == "message" and event["call"] == call and event["kind"] == kind
            and event["attempt"] >= attempt and not event["copy"]
        )  # fmt: skip
        found = [message for message in self.world.messages.on_way() if message.id == event["id"]]
        if not found:
            raise ClaimFailed(f"the {kind} of {call} was gone before it could be looked at")
        return found[0]

    def lose(self, message: Message) -> None:
        """Take a message away."""
        self.do("lose", message=message.id)

    def end_of(self, message: Message) -> str:
        """What became of it."""
        return str(self.wait(lambda event: event["type"] == "message-end" and event["id"] == message.id)["end"])

    def told(self, call: str) -> dict[str, Any]:
        """What the caller was told, as soon as it is."""
        return self.wait(lambda event: event["type"] == "told" and event["call"] == call)

    def effects(self, call: str) -> int:
        """How many the store holds, counted now."""
        self.world.effect_counts.touched(call)
        self.world.effect_counts.count()
        counted = self.world.effect_counts.find(call)
        return counted.effects if counted else 0

    def claim_effects(self, call: str, wanted: int) -> None:
        """So many, as soon as the store has been looked into: another look may be under way."""
        end_s = time.monotonic() + LOOK_MAX_S
        while self.effects(call) != wanted:
            self._check_end()
            if time.monotonic() > end_s:
                raise ClaimFailed(f"not so: the store holds {wanted} of {call}")
            self.world.journal.wait_after(self.world.journal.last, 0.1)

    def arm(self, failpoint: str, action: str) -> None:
        """Plan a failure of the server's at a moment in the middle of its next call."""
        self.world.is_death_planned = True
        reply = self.world.ask("s0", "debug.failpoint", name=failpoint, action=action)
        if "error" in reply:
            raise ClaimFailed(f"the server would not arm {failpoint}: {reply['error']['message']}")

    def claim(self, what: str, holds: bool) -> None:
        """Something that must be so now."""
        if not holds:
            raise ClaimFailed(f"not so: {what}")

    def wait(self, wanted: Callable[[dict[str, Any]], bool], what: str = "") -> dict[str, Any]:
        """The first event since the scene began for which that holds. Raises ClaimFailed when it does not come."""
        pace, at = self.world.pace, self._from
        end_s = pace.now_s() + WAIT_MAX_S
        while pace.now_s() < end_s:
            self._check_end()
            for event in self.world.journal.events_after(at):
                at = event["n"]
                if wanted(event):
                    return event
            self.world.journal.wait_after(at, 1.0)
        raise ClaimFailed(what or "what was to happen did not happen in time")

    def _begin(self) -> None:
        """A calm, healthy world in which nothing has happened yet."""
        self.world.set_workload(running=False)
        self._mend()
        self.world.reset()

    def _mend(self) -> None:
        self.world.is_death_planned = False
        for link in self.world.links.values():
            if (link.up, link.down) != ("open", "open"):
                link.set("open")
        for server in self.world.servers.values():
            server.resume()
            if server.state == "down":
                server.restart()

    def _tell(self, state: str, sentence: str = "") -> None:
        self.world.journal.add(
            "scene", id=self._scene.id, state=state, title=self._scene.title,
            sentence=sentence or self._scene.sentence, number=self._number, of=self._scene.of,
        )  # fmt: skip

    def _check_end(self) -> None:
        if self._is_ended.is_set() or self.world.journal.is_closed:
            raise Ended()
