"""What can be done from the page: a name with its facts, checked, then done, and told with the command that does it.

Guarantee: whatever comes in, it is done whole or refused in words (`Refused`), and nothing else happens.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

from chaos.live.action_words import (
    Call,
    EndScene,
    LateCopy,
    LinkTo,
    Lose,
    PlayScene,
    Reset,
    ServerDo,
    SetPace,
    SetSemantics,
    Step,
    Workload,
    read_action,
)  # fmt: skip
from chaos.live.callers import METHODS
from chaos.live.links import STATES
from chaos.live.live_server import DOINGS
from chaos.live.options import SEMANTICS
from chaos.live.pace import MODES, PAUSE, STEP
from chaos.live.scene_player import ScenePlayer
from chaos.live.sentences import sentence
from chaos.live.world import World
from chaos.runtime.base import ServerError

__all__ = ["Actions", "Refused"]

STEP_QUIET_S = 0.08
STEP_MAX_S = 1.5


class Refused(Exception):
    """It was not done; why, and with which HTTP status."""

    def __init__(self, words: str, status: int = 409) -> None:
        super().__init__(words)
        self.status = status


class Actions:
    """On one world. `address`, `token_file`: for the command lines that do the same."""

    def __init__(self, world: World, player: ScenePlayer, address: str, token_file: str) -> None:
        self._world, self._player = world, player
        self._address, self._token_file = address, token_file
        self._doings: dict[type, Callable[[Any], str]] = {
            LateCopy: self._late_copy, LinkTo: self._link, ServerDo: self._server,
            SetPace: self._pace, SetSemantics: self._semantics, Step: self._step, Call: self._call,
            Workload: self._workload, PlayScene: self._play, EndScene: self._end_scene, Reset: self._reset,
        }  # fmt: skip

    def do(self, body: bytes, by: str = "you") -> None:
        """Raises Refused."""
        try:
            action = read_action(body)
        except ValueError as error:
            raise Refused(str(error), 400) from None
        if self._player.is_playing_evidence and not isinstance(action, EndScene | PlayScene | SetPace | Step):
            raise Refused("a recorded scenario is being played; end it first, then act")
        try:
            text = self._lose(action, by) if isinstance(action, Lose) else self._doings[type(action)](action)
        except ServerError as error:
            words = str(error).splitlines()[0]
            self._world.journal.add("problem", text=words)
            raise Refused(words, 503) from None
        if text:
            command = self._player.command(action.id) if isinstance(action, PlayScene) else self._command(body)
            self._world.journal.add("action", by=by, text=text, command=command)

    def _link(self, action: LinkTo) -> str:
        _one_of("link", action.link, self._world.links)
        _one_of("state", action.state, STATES)
        self._world.links[action.link].set(action.state)
        return _link_in_words(action.link, action.state)

    def _server(self, action: ServerDo) -> str:
        _one_of("server", action.server, self._world.servers)
        _one_of("do", action.do, DOINGS)
        self._world.do(action.server, action.do)
        lost = f"{action.server} loses its disk and starts anew"
        return lost if action.do == "lose-disk" else f"{action.do} {action.server}"

    def _semantics(self, action: SetSemantics) -> str:
        _one_of("semantics", action.semantics, SEMANTICS)
        self._world.set_semantics(action.semantics)
        return f"calls that begin from now on are {action.semantics}"

    def _pace(self, action: SetPace) -> str:
        _one_of("mode", action.mode, MODES)
        self._world.pace.set(action.mode, action.travel_ms)
        return f"pace: {action.mode}"

    def _workload(self, action: Workload) -> str:
        self._world.rate = action.rate or self._world.rate
        running = action.state == "running"
        self._world.set_workload(running=running)
        return f"clients {'call by themselves' if running else 'make no calls by themselves'}"

    def _end_scene(self, _action: EndScene) -> str:
        self._player.end()
        return "the scene is ended"

    def _reset(self, _action: Reset) -> str:
        if self._player.is_playing:
            raise Refused("a scene is being played; end it first")
        self._world.reset()
        stores = "the shared store as it is" if self._world.options.is_shared else "empty stores"
        return f"{stores}, healthy links, servers up, new sessions"

    def _lose(self, action: Lose, by: str) -> str:
        try:
            message = self._world.messages.lose(action.message, by)
        except LookupError:
            raise Refused(f"{action.message} is not on its way; it may have arrived a moment ago") from None
        return f"lose the {message.kind} of {message.flight.call}, attempt {message.flight.attempt}"

    def _late_copy(self, action: LateCopy) -> str:
        call = action.call or self._world.messages.call_of(action.message or "")
        try:
            self._world.send_copy(call or "")
        except LookupError:
            raise Refused("the request of that call is not kept any more; name a recent message or call") from None
        return f"send the request of {call} once more, late"

    def _call(self, action: Call) -> str:
        _one_of("client", action.client, self._world.callers)
        _one_of("method", action.method, METHODS)
        self._world.set_workload(running=False)
        try:
            name = self._world.callers[action.client].call(action.method, action.key, action.value)
        except RuntimeError as error:
            raise Refused(str(error)) from None
        return f"{action.client} calls {action.method} ({name})"

    def _step(self, _action: Step) -> str:
        pace, journal = self._world.pace, self._world.journal
        if self._player.is_playing:
            if pace.mode == PAUSE:
                pace.set(STEP)
            if pace.read_on() or not self._player.is_playing_evidence:
                return ""  # the scene goes on to its next sentence, and nobody else says one
        if pace.mode != STEP:
            pace.set(STEP)
        before = journal.last
        head = pace.step()
        if head is None:
            raise Refused("nothing is on its way and nobody waits: let a client make a call, or let the clients run")
        journal.wait_quiet(before, STEP_QUIET_S, STEP_MAX_S)
        journal.add("step", **sentence(head, journal.events_after(before), self._world))
        return ""

    def _play(self, action: PlayScene) -> str:
        try:
            return self._player.begin(action.id)
        except LookupError:
            raise Refused(f"there is no scene {action.id!r}; the world event lists them", 404) from None
        except RuntimeError as error:
            raise Refused(str(error)) from None

    def _command(self, body: bytes) -> str:
        told = json.dumps(json.loads(body))
        return (
            f"curl -s {self._address}actions -H 'Content-Type: application/json'"
            f' -H "X-Live-Token: $(cat {shlex.quote(self._token_file)})" -d {shlex.quote(told)}'
        )


def _one_of(what: str, name: str, names: object) -> None:
    """Raises Refused."""
    assert isinstance(names, dict | tuple)
    if name not in names:
        raise Refused(f"there is no {what} {name!r}; there are: {', '.join(names)}", 400)


def _link_in_words(link: str, state: str) -> str:
    return {
        "open": f"mend {link}'s link",
        "cut": f"cut {link}'s link, both ways",
        "cut-up": f"cut {link}'s link, requests only",
        "cut-down": f"cut {link}'s link, replies only",
        "slow": f"make {link}'s link slow",
    }[state]
